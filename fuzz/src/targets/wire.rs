//! What comes before and around a page: heads of answers, cursors, gzip. The first byte says which.

use std::{
    io::Read,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use flate2::bufread::GzDecoder;
use pagemill_core::{Cursor, Resource};
use pagemill_source::fuzzing;

/// No wait is longer than this, whoever asks for it.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

fn head(data: &[u8]) {
    let Some((status, lines)) = data.split_first_chunk::<2>() else { return };
    let status = 100 + u16::from_be_bytes(*status) % 500;
    let lines: Vec<_> = lines
        .split(|b| *b == b'\n')
        .map(|line| line.split_at(line.iter().position(|b| *b == b':').unwrap_or(line.len())))
        .map(|(name, value)| (name, value.strip_prefix(b":").unwrap_or(value).trim_ascii()))
        // As many as a client takes.
        .take(100)
        .collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let head = fuzzing::head(status, lines.iter().copied(), now);
    assert!(head.hint.is_none_or(|wait| wait <= FAR) && head.used_up.is_none_or(|wait| wait <= FAR), "{head:?}");
    // A wait in seconds is never shortened.
    let named = |wanted: &[u8]| lines.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if let Some((_, value)) = named(b"retry-after").filter(|_| status == 429)
        && let Some(seconds) = std::str::from_utf8(value).ok().and_then(|v| v.parse::<u32>().ok())
        && value.iter().all(u8::is_ascii_digit)
    {
        let asked = Duration::from_secs(seconds.into()).min(FAR);
        assert!(head.hint.is_some_and(|wait| wait >= asked), "{head:?} where {asked:?} is asked for");
    }
    let coded = named(b"content-encoding").is_some();
    assert!(coded || matches!(head.gzip, Ok(false)), "{head:?}");
}

fn cursor(data: &[u8]) {
    static MEMBERS: OnceLock<Resource> = OnceLock::new();
    let members =
        MEMBERS.get_or_init(|| Resource::builtin("instant-messaging/members").expect("the catalog has members"));
    let text = String::from_utf8_lossy(data);
    let base = "https://api.example.com";
    let first = fuzzing::page_url(base, members, None).expect("a base");
    let next = fuzzing::page_url(base, members, Some(&Cursor::new(&*text))).expect("a base");
    let value = next.strip_prefix(&format!("{first}&next_cursor=")).expect("nothing but a value is added");
    assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%+*".contains(&b)), "{value}");
    let mut bytes = value.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next().expect("two digits"), bytes.next().expect("two digits")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hexadecimal")
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    assert_eq!(decoded, text.as_bytes());
}

fn gzip(data: &[u8]) {
    let Some((cuts, data)) = data.split_first_chunk::<4>() else { return };
    let whole = fuzzing::inflate([data]);
    // However it is cut, the same comes of it.
    let mut at: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) * data.len() / 256).collect();
    at.extend([0, data.len()]);
    at.sort_unstable();
    let pieces = at.windows(2).map(|w| &data[w[0]..w[1]]);
    assert_eq!(fuzzing::inflate(pieces).ok(), whole.as_ref().ok().cloned());
    // What another decoder says of one member that is all of the input.
    let mut rest = data;
    let mut plain = Vec::new();
    let other = GzDecoder::new(&mut rest).take(1 << 22).read_to_end(&mut plain);
    if let Ok(whole) = &whole {
        assert!(other.is_ok() && rest.is_empty() && *whole == plain, "we take what another does not");
    }
}

/// Does it with one input.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0..=84, data)) => head(data),
        Some((85..=169, data)) => cursor(data),
        Some((_, data)) => gzip(data),
        None => {}
    }
}
