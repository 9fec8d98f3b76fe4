//! From the bytes of the fuzzer to a page and how to read it.

use std::{borrow::Cow, sync::LazyLock};

use pagemill_core::Resource;
use pagemill_json::{Framing, KernelName, Options, Unknown};

/// Every kernel there is; a machine runs some of them.
pub const KERNELS: [KernelName; 4] = [KernelName::Scalar, KernelName::Avx2, KernelName::Avx512, KernelName::Neon];

/// Longer pages reach limits that the targets know nothing of.
const LONGEST: usize = 60_000;

/// A column of each kind, and lists of each kind.
static THINGS: LazyLock<Resource> = LazyLock::new(|| {
    let text = r#"{"x-pagemill":{"table":"things","key":"id"},"properties":{
        "id":{"type":"string"},"flag":{"type":"boolean"},"count":{"type":"integer"},"size":{"type":"number"},
        "at":{"type":"string","format":"date-time"},"any":{},
        "owner":{"properties":{"id":{"type":"string"},"at":{"type":"string","format":"date-time"},
            "home":{"properties":{"city":{"type":"string"},"any":{}}},"marks":{"items":{"type":"integer"}}}},
        "tags":{"items":{"type":"string"}},"flags":{"items":{"type":"boolean"}},
        "times":{"items":{"type":"string","format":"date-time"}},"texts":{"type":"array"},
        "matrix":{"items":{"items":{"type":"integer"}}},
        "parts":{"items":{"properties":{"name":{"type":"string"},"sizes":{"items":{"type":"number"}},
            "maker":{"properties":{"id":{"type":"string"}}},
            "bits":{"items":{"properties":{"on":{"type":"boolean"}}}}}}},
        "rows":{"items":{"items":{"properties":{"n":{"type":"integer"}}}}},
        "dé \"q\"":{"type":"string"}
    }}"#;
    Resource::from_json_schema(text).expect("a schema")
});

static MEMBERS: LazyLock<Resource> =
    LazyLock::new(|| Resource::builtin("instant-messaging/members").expect("built in"));

/// What goes around the bytes to make a page of them.
const FRAMES: [(&str, &str); 4] = [
    ("", ""),
    (r#"{"result":["#, r#"],"next_cursor":null}"#),
    ("[", "]"),
    (r#"{"next_cursor":"c","result":{"k":"#, "}}"),
];

/// A page and how to read it: four bytes that say how, and the page. Where a byte is `0`, nothing is out of the ordinary.
#[derive(Debug)]
pub struct Input<'a> {
    /// What the records are.
    pub resource: &'static Resource,
    /// The page.
    pub page: Cow<'a, [u8]>,
    cuts: u8,
    options: u8,
    limits: u8,
}

impl<'a> Input<'a> {
    /// Reads an input; `None` when it is none.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (head, body) = data.split_first_chunk::<4>()?;
        if body.len() > LONGEST {
            return None;
        }
        let [what, cuts, options, limits] = head.map(|byte| byte ^ b'0');
        let (before, after) = FRAMES[usize::from(what >> 1 & 3)];
        let page = match before {
            "" => body.into(),
            before => [before.as_bytes(), body, after.as_bytes()].concat().into(),
        };
        let resource = if what & 1 == 0 { &*THINGS } else { &*MEMBERS };
        Some(Self { resource, page, cuts, options, limits })
    }

    /// The defaults, but for small batches and a kernel.
    #[must_use]
    pub fn plain_options(&self, kernel: Option<KernelName>) -> Options {
        Options { batch_rows: 1 + usize::from(self.options & 7), kernel, ..Options::default() }
    }

    /// Options and limits that the input chooses.
    #[must_use]
    pub fn options(&self) -> Options {
        let unknown = [Unknown::Extra, Unknown::Extra, Unknown::Ignore, Unknown::Fail];
        let framings = [Framing::Envelope, Framing::Array, Framing::Object, Framing::Lines];
        let mut options = self.plain_options(None);
        options.unknown = unknown[usize::from(self.options >> 3 & 3)];
        options.framing = (self.options >> 7 == 1).then(|| framings[usize::from(self.options >> 5 & 3)]);
        if self.options >> 5 == 1 {
            options.batch_bytes = 50;
        }
        let limits = &mut options.limits;
        let small = |bit: u8| self.limits >> bit & 1 == 1;
        let all: [(u8, &mut usize, usize); 8] = [
            (0, &mut limits.depth, 4),
            (1, &mut limits.string, 10),
            (1, &mut limits.key, 6),
            (2, &mut limits.number, 4),
            (3, &mut limits.record, 70),
            (4, &mut limits.elements, 3),
            (4, &mut limits.members, 2),
            (5, &mut limits.cursor, 3),
        ];
        all.into_iter().filter(|(bit, ..)| small(*bit)).for_each(|(_, limit, value)| *limit = value);
        if small(5) {
            limits.space = 3;
        }
        if small(6) {
            limits.page = 150;
        }
        if small(7) {
            (limits.bad_records, limits.bad_bytes) = (2, 600);
        }
        options
    }

    /// A number below `n`, of the input's choice.
    #[must_use]
    pub fn pick(&self, n: usize) -> usize {
        usize::from(self.cuts) % n
    }

    /// The page in pieces: all of one size up to 128, or of sizes that follow from the byte.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let (mut rest, mut state) = (&*self.page, u32::from(self.cuts));
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let size = match self.cuts {
                cuts @ ..128 => usize::from(cuts) + 1,
                _ => {
                    // The generator of Numerical Recipes, whose upper bits are good enough. No byte at all is a piece, too.
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as usize
                }
            };
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            Some(piece)
        })
    }
}
