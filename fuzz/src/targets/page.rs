//! Whatever the bytes, the framing and the limits: no panic, every record and byte accounted for, every error in its place.

use crate::{Input, Outcome, decode};
use pagemill_core::ErrorKind;
use pagemill_json::{Decoder, Framing};

fn check(input: &Input<'_>, outcome: &Outcome) {
    let (options, len) = (input.options(), input.page.len() as u64);
    assert!(outcome.all_batches().all(|batch| batch.schema() == input.resource.schema()));
    assert!(outcome.batches.iter().all(|batch| batch.num_rows() <= options.batch_rows));
    let page = match &outcome.page {
        Ok(page) => page,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
            let place = error.place();
            assert!(place.byte.is_some_and(|byte| byte <= len), "{error:?}");
            assert!(place.record.is_none_or(|record| record < len), "{error:?}");
            return;
        }
    };
    assert_eq!(page.bytes, len);
    assert!(len <= options.limits.page);
    let text = input.page.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&input.page);
    let empty = text.iter().all(|b| b" \t\r\n".contains(b));
    match (options.framing, page.framing) {
        (None, found) => assert_eq!(found.is_none(), empty, "{found:?}"),
        (Some(Framing::Object), Some(Framing::Lines)) => assert!(page.records > 1),
        (asked, found) => assert_eq!(asked, found),
    }
    assert_eq!(page.rows, outcome.all_batches().map(|batch| batch.num_rows() as u64).sum::<u64>());
    assert_eq!(page.records, page.rows + page.bad.len() as u64);
    assert!(page.bad.len() as u64 <= options.limits.bad_records);
    let (mut record, mut offset) = (0, 0);
    for bad in &page.bad {
        let end = bad.offset + bad.bytes.len() as u64;
        assert!(bad.record >= record && bad.record < page.records, "{bad:?} after {record}");
        assert!(bad.offset >= offset && end <= len, "{bad:?} after {offset}");
        assert!((bad.offset..=end).contains(&bad.error_offset), "{bad:?}");
        assert_eq!(&bad.bytes[..], &input.page[bad.offset as usize..end as usize]);
        assert!(bad.path.starts_with('$') && !bad.reason.is_empty(), "{bad:?}");
        (record, offset) = (bad.record + 1, end);
    }
}

/// Does it with one input.
pub fn run(data: &[u8]) {
    let Some(input) = Input::new(data) else { return };
    let mut decoder = Decoder::new(input.resource, input.options());
    check(&input, &decode(&mut decoder, input.chunks()));
    // What is left of one page does not show in the next.
    check(&input, &decode(&mut decoder, [&*input.page]));
}
