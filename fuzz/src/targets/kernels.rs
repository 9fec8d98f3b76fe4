//! Stage 1: every kernel finds the same ends of strings and brackets, and they are those that JSON has.

use crate::KERNELS;
use pagemill_json::count_structurals;

/// Quotes that end strings, and brackets outside strings, one byte after another.
fn by_definition(bytes: &[u8]) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    let mut count = 0;
    for byte in bytes {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' => escaped = !was_escaped,
            b'"' if !was_escaped => {
                count += usize::from(in_string);
                in_string = !in_string;
            }
            b'{' | b'[' | b'}' | b']' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Does it with one input.
pub fn run(data: &[u8]) {
    // The counts of all beginnings say where each one is.
    for end in data.len().saturating_sub(300)..=data.len() {
        let expected = by_definition(&data[..end]);
        for kernel in KERNELS {
            let found = count_structurals(&data[..end], kernel);
            assert!(found.is_none_or(|found| found == expected), "{kernel}: {found:?}, not {expected}, in {end} bytes");
        }
    }
}
