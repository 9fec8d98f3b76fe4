//! The inputs that fuzzing has kept, and others made of them, through every fuzz target: what was found once stays found.

use std::{fs, path::Path};

use pagemill_fuzz::targets::ALL;

/// Inputs made of the kept ones, for each target.
const MADE: u64 = 3_000;

/// Numbers without an end, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % end.max(1) as u64) as usize
    }
}

/// Words that reach further than random bytes.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1e308",
    b"-0",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\n",
    b"{\"id\":\"a\"}",
];

/// An input that differs from a kept one in a few places.
fn made(kept: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = kept[numbers.below(kept.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let upto = (at + numbers.below(9)).min(input.len());
        match numbers.below(5) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 => drop(input.splice(at..upto, [])),
            2 => drop(input.splice(at..upto, WORDS[numbers.below(WORDS.len())].iter().copied())),
            3 => {
                let other = &kept[numbers.below(kept.len())];
                let from = numbers.below(other.len() + 1);
                let piece = other[from..(from + numbers.below(64)).min(other.len())].to_vec();
                drop(input.splice(at..upto, piece));
            }
            _ => drop(input.splice(at..at, [numbers.below(256) as u8])),
        }
    }
    input
}

#[test]
fn what_fuzzing_has_kept_and_what_is_near_it_passes_every_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    std::thread::scope(|scope| {
        for (name, run) in ALL {
            let corpus = corpus.join(name);
            scope.spawn(move || {
                let entries = fs::read_dir(&corpus).expect("a folder").map(|entry| entry.expect("an entry").path());
                let mut paths: Vec<_> = entries.collect();
                paths.sort();
                let kept: Vec<_> = paths.iter().map(|path| fs::read(path).expect("an input")).collect();
                assert!(!kept.is_empty(), "{name} has kept nothing");
                for (path, input) in paths.iter().zip(&kept) {
                    println!("{}", path.display());
                    run(input);
                }
                let mut numbers = Numbers(1);
                for n in 0..MADE {
                    let input = made(&kept, &mut numbers);
                    let result = std::panic::catch_unwind(|| run(&input));
                    assert!(result.is_ok(), "{name}, made input {n}: {:?}", String::from_utf8_lossy(&input));
                }
            });
        }
    });
}
