//! The rules of UTF-8 as tables, for kernels that look bytes up.
//!
//! Each byte is judged by itself and the three before it: three table look-ups (the halves of the byte before, the upper
//! half of this one) give the rules that each half alone could break, one bit each, and what all three agree on is broken.
//! See Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2021).

/// A lead byte without its continuation.
const SHORT: u8 = 1 << 0;
/// A continuation behind ASCII.
const LONG: u8 = 1 << 1;
/// 0xe0 and a continuation below 0xa0.
const OVERLONG_3: u8 = 1 << 2;
/// Beyond U+10FFFF: 0xf4 and 0x90 or more, or a lead above 0xf4.
const LARGE: u8 = 1 << 3;
/// 0xed and a continuation of 0xa0 or more.
const SURROGATE: u8 = 1 << 4;
/// 0xc0 or 0xc1.
const OVERLONG_2: u8 = 1 << 5;
/// Two continuations; whether the second is due is found out apart from the tables.
pub(super) const TWO: u8 = 1 << 7;
/// 0xf0 and a continuation below 0x90.
const OVERLONG_4: u8 = 1 << 6;
/// A lead above 0xf4 and a continuation below 0x90.
const LARGE_8: u8 = 1 << 6;
/// What the lower half of the byte before says nothing about.
const ANY: u8 = SHORT | LONG | TWO;
/// By the upper half of the byte before.
pub(super) const BEFORE_HIGH: [u8; 16] = [
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG, //
    TWO,
    TWO,
    TWO,
    TWO, //
    SHORT | OVERLONG_2,
    SHORT,
    SHORT | OVERLONG_3 | SURROGATE,
    SHORT | LARGE | LARGE_8 | OVERLONG_4,
];
/// By the lower half of the byte before.
pub(super) const BEFORE_LOW: [u8; 16] = {
    let mut table = [ANY | LARGE | LARGE_8; 16];
    table[0] = ANY | OVERLONG_2 | OVERLONG_3 | OVERLONG_4;
    table[1] = ANY | OVERLONG_2;
    table[2] = ANY;
    table[3] = ANY;
    table[4] = ANY | LARGE;
    table[0xd] |= SURROGATE;
    table
};
/// By the upper half of the byte itself.
pub(super) const NOW_HIGH: [u8; 16] = {
    let mut table = [SHORT; 16];
    table[8] = LONG | OVERLONG_2 | TWO | OVERLONG_3 | LARGE_8 | OVERLONG_4;
    table[9] = LONG | OVERLONG_2 | TWO | OVERLONG_3 | LARGE;
    table[0xa] = LONG | OVERLONG_2 | TWO | SURROGATE | LARGE;
    table[0xb] = table[0xa];
    table
};
