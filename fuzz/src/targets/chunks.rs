//! However the bytes of a page arrive, and whatever its limits and options, the same comes of it.

use crate::{Input, decode};
use pagemill_json::Decoder;

/// Does it with one input.
pub fn run(data: &[u8]) {
    let Some(input) = Input::new(data) else { return };
    let mut decoder = Decoder::new(input.resource, input.options());
    let whole = decode(&mut decoder, [&*input.page]);
    decode(&mut decoder, input.chunks()).assert_same(&whole, "in pieces");
    decode(&mut decoder, input.page.chunks(1)).assert_same(&whole, "byte by byte");
    let (a, b) = input.page.split_at(input.page.len() * input.pick(97) / 97);
    decode(&mut decoder, [a, b]).assert_same(&whole, "in two");
}
