//! Pages are read as serde_json reads them, whole or in pieces, with every kernel.

use crate::{Input, check, decode};
use pagemill_json::{Decoder, KernelName};

/// Does it with one input.
pub fn run(data: &[u8]) {
    let Some(input) = Input::new(data) else { return };
    let mut best = Decoder::new(input.resource, input.plain_options(None));
    let whole = decode(&mut best, [&*input.page]);
    decode(&mut best, input.chunks()).assert_same(&whole, "in pieces");
    let mut scalar = Decoder::new(input.resource, input.plain_options(Some(KernelName::Scalar)));
    decode(&mut scalar, [&*input.page]).assert_same(&whole, "with the scalar kernel");
    check(&input.page, input.resource, &whole);
}
