//! The records of saved pages, by serde_json, one at a time.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use pagemill_core::{Error, Resource, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer as Json, value::RawValue};

use crate::report::quoted;

/// A saved page.
#[derive(Clone, Debug)]
pub(super) enum Page {
    File(PathBuf),
    /// Standard input, which can be read only once and is therefore held.
    Held(Vec<u8>),
}

/// A record that is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aside {
    /// Its ordinal in the page.
    pub(super) record: u64,
    /// Where it begins in the page.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// How records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Nothing,
    Array,
    Envelope,
    Lines,
}

/// Pages in the order in which they were given; a folder stands for its pages, by name.
pub(super) fn expand(paths: Vec<PathBuf>) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for path in paths {
        let cannot =
            |e: io::Error| Error::config(format!("cannot read {}", quoted(&path.to_string_lossy()))).because(e);
        if path.as_os_str() == "-" {
            let mut held = Vec::new();
            io::stdin().lock().read_to_end(&mut held).map_err(cannot)?;
            pages.push(Page::Held(held));
        } else if fs::metadata(&path).map_err(cannot)?.is_dir() {
            let entries = fs::read_dir(&path).map_err(cannot)?.collect::<io::Result<Vec<_>>>().map_err(cannot)?;
            let mut files: Vec<_> =
                entries.into_iter().map(|e| e.path()).filter(|p| is_page(p) && p.is_file()).collect();
            files.sort();
            pages.extend(files.into_iter().map(Page::File));
        } else {
            pages.push(Page::File(path));
        }
    }
    match pages.is_empty() {
        true => Err(Error::config("there are no pages to compare with").advise("name files, folders of files, or `-`")),
        false => Ok(pages),
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ["json", "ndjson", "jsonl", "gz"].iter().any(|known| ext == *known))
}

impl Page {
    /// Its name, for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Held(_) => "standard input".to_owned(),
        }
    }

    /// Calls `each` with the text of every record, in order, until it says false. Records in quarantine are given as `{}`.
    ///
    /// # Errors
    /// [`Data`](pagemill_core::ErrorKind::Data) when it is no page, or what is in quarantine is not in it.
    pub(super) fn records(
        &self,
        resource: &Resource,
        aside: &[Aside],
        each: &mut dyn FnMut(&str) -> bool,
    ) -> Result<()> {
        let frame = self.frame(resource, aside)?;
        if frame == Frame::Nothing {
            return Ok(());
        }
        let input = self.open(aside)?;
        let stopped = RefCell::new(false);
        let mut each = |text: &str| {
            let go_on = each(text);
            *stopped.borrow_mut() = !go_on;
            go_on
        };
        let mut json = Json::from_reader(input);
        let result = match frame {
            Frame::Nothing => Ok(()),
            Frame::Array => Records(&mut each).deserialize(&mut json).and_then(|()| json.end()),
            Frame::Envelope => Envelope(&mut each).deserialize(&mut json).and_then(|()| json.end()),
            Frame::Lines => json.into_iter::<Box<RawValue>>().try_for_each(|record| {
                if each(record?.get()) { Ok(()) } else { Err(serde_json::Error::custom("stopped")) }
            }),
        };
        match result {
            Err(error) if !*stopped.borrow() => Err(unreadable(error)),
            _ => Ok(()),
        }
    }

    /// Tells the layout by the first value.
    fn frame(&self, resource: &Resource, aside: &[Aside]) -> Result<Frame> {
        let mut input = self.open(aside)?;
        let mut byte = [b' '];
        while matches!(byte[0], b' ' | b'\t' | b'\r' | b'\n') {
            if input.read(&mut byte).map_err(unreadable)? == 0 {
                return Ok(Frame::Nothing);
            }
        }
        match byte[0] {
            b'[' => Ok(Frame::Array),
            // What begins with an object is an envelope if that says so, unless records may say the same.
            b'{' if resource.fields().iter().any(|f| f.name == "result" || f.name == "results") => Ok(Frame::Lines),
            b'{' => {
                let mut json = Json::from_reader(io::Cursor::new(b"{").chain(input));
                let envelope = Probe.deserialize(&mut json).map_err(unreadable)?;
                Ok(if envelope { Frame::Envelope } else { Frame::Lines })
            }
            _ => Err(Error::data("it is neither an object nor an array")),
        }
    }

    /// Its bytes, decompressed, without a byte order mark, and `{}` in the place of each record of `aside`.
    fn open<'a>(&'a self, aside: &[Aside]) -> Result<Box<dyn Read + 'a>> {
        let mut raw: Box<dyn Read + 'a> = match self {
            Self::File(path) => Box::new(BufReader::new(File::open(path).map_err(unreadable)?)),
            Self::Held(bytes) => Box::new(&bytes[..]),
        };
        let mut magic = Vec::new();
        (&mut raw).take(2).read_to_end(&mut magic).map_err(unreadable)?;
        let gzip = magic == [0x1f, 0x8b];
        let raw = io::Cursor::new(magic).chain(raw);
        let plain: Box<dyn Read + 'a> = if gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let mended = Mended { input: plain, at: 0, aside: aside.to_vec().into(), instead: &[] };
        let mut mended = BufReader::with_capacity(64 << 10, mended);
        let mut mark = Vec::new();
        (&mut mended).take(3).read_to_end(&mut mark).map_err(unreadable)?;
        if mark == [0xef, 0xbb, 0xbf] {
            mark.clear();
        }
        Ok(Box::new(io::Cursor::new(mark).chain(mended)))
    }
}

fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the page cannot be read").because(cause)
}

/// A page without the records that are in quarantine, each of which must be in it, to the byte.
struct Mended<R> {
    input: R,
    at: u64,
    aside: VecDeque<Aside>,
    /// What is still to be given of what stands for a record.
    instead: &'static [u8],
}

impl<R: Read> Read for Mended<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.instead.is_empty()
            && let Some(bad) = self.aside.pop_front_if(|bad| bad.offset <= self.at)
        {
            let mut found = Vec::new();
            (&mut self.input).take(bad.bytes.len() as u64).read_to_end(&mut found)?;
            if bad.offset < self.at || found != bad.bytes {
                let what =
                    format!("record {} in quarantine is not what the page has at byte {}", bad.record, bad.offset);
                return Err(io::Error::other(what));
            }
            self.at += found.len() as u64;
            self.instead = b"{}";
        }
        if !self.instead.is_empty() {
            return self.instead.read(into);
        }
        let most = self.aside.front().map_or(u64::MAX, |bad| bad.offset - self.at);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(into.len());
        let read = self.input.read(into.get_mut(..most).unwrap_or_default())?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Whether an object has a `result` or `results` that is an array or an object.
struct Probe;

impl<'de> DeserializeSeed<'de> for Probe {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<bool, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Probe {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<bool, A::Error> {
        let mut envelope = false;
        while let Some(name) = map.next_key::<String>()? {
            if is_result(&name) {
                envelope |= map.next_value_seed(Holds)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(envelope)
    }
}

fn is_result(name: &str) -> bool {
    matches!(name, "result" | "results")
}

/// Whether a value is an array or an object.
struct Holds;

impl<'de> DeserializeSeed<'de> for Holds {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<bool, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Holds {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(true)
    }

    fn visit_unit<E>(self) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<bool, E> {
        Ok(false)
    }
}

/// The records of an array, or of an object whose names say nothing more.
struct Records<'e>(&'e mut dyn FnMut(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while let Some(record) = seq.next_element::<Box<RawValue>>()? {
            if !(self.0)(record.get()) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((_, record)) = map.next_entry::<IgnoredAny, Box<RawValue>>()? {
            if !(self.0)(record.get()) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// The records of an envelope.
struct Envelope<'e>(&'e mut dyn FnMut(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if is_result(&name) {
                map.next_value_seed(Records(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
