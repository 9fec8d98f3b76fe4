//! Calls on the store: each tried a few times, with errors that say what was done to which object.

use std::{fmt, future::Future, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, UpdateVersion, multipart::MultipartStore, path::Path,
};
use pagemill_core::{Error, ErrorKind, Result};
use pagemill_sink::manifest::hex;
use sha2::{Digest, Sha256};

/// Bytes that are read at a time where an object is hashed.
const STEP: u64 = 8 << 20;

/// What an object store has to be able to do: objects, and uploads in pieces that a later run can end.
pub trait Remote: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Remote for T {}

/// How calls are made.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) store: Arc<dyn Remote>,
    /// How to call it in messages, such as `s3://bucket`.
    pub(crate) name: String,
    /// Times that a call is made, at most.
    pub(crate) tries: u32,
    /// The wait before the second try; it doubles with each.
    pub(crate) pause: Duration,
    /// Objects are created without a condition: the caller says that nobody else writes.
    pub(crate) single_writer: bool,
}

/// An object, and which version of it that is.
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) version: UpdateVersion,
}

/// What became of an object that was to be created.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Now,
    /// Something else has the key.
    Taken,
}

impl Calls {
    pub(crate) fn new(store: Arc<dyn Remote>, name: String) -> Self {
        Self { store, name, tries: 3, pause: Duration::from_millis(500), single_writer: false }
    }

    /// Makes a call until it succeeds, fails for good, or was tried often enough.
    async fn retry<T, F>(&self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tried = 1;
        let mut refused = false;
        loop {
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            // Credentials may have been at their end: those of the next call are asked for anew, once.
            let again = if is_denied(&error) { !std::mem::replace(&mut refused, true) } else { !is_final(&error) };
            if !again || tried >= self.tries {
                return Err(error);
            }
            tracing::info!(%tried, "a call on the store failed: {}", Cause::new(&error));
            self.wait(tried).await;
            tried += 1;
        }
    }

    /// Waits before the try after `tried`.
    pub(crate) async fn wait(&self, tried: u32) {
        let pause = self.pause.saturating_mul(1 << tried.saturating_sub(1).min(6));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// An error that says what was being done.
    pub(crate) fn failed(&self, action: &str, key: &Path, error: StoreError) -> Error {
        failed(&format!("cannot {action} {}", self.url(key)), error)
    }

    /// How an object is called in messages.
    pub(crate) fn url(&self, key: &Path) -> String {
        format!("{}/{key}", self.name)
    }

    /// An object of at most `limit` bytes; `None` when there is none.
    pub(crate) async fn get(&self, key: &Path, limit: u64) -> Result<Option<Object>> {
        let call = || async {
            let found = self.store.get(key).await?;
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            let (size, mut stream) = (found.meta.size, found.into_stream());
            if size > limit {
                return Ok(Err(size));
            }
            let mut bytes = Vec::new();
            while let Some(piece) = stream.try_next().await?
                && bytes.len() as u64 <= size
            {
                bytes.extend_from_slice(&piece);
            }
            whole(size, bytes.len() as u64)?;
            Ok(Ok(Object { bytes: bytes.into(), version }))
        };
        match self.retry(call).await {
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
            Ok(Err(size)) => Err(Error::io(format!("{} has {size} bytes, which is too many", self.url(key)))),
            Ok(Ok(object)) => Ok(Some(object)),
        }
    }

    /// The SHA-256, in lower-case hexadecimal, of what is stored; `None` when it is not there, or not of `size` bytes.
    ///
    /// It is read piece by piece: a client gives every answer the same time, however large it is.
    pub(crate) async fn hash(&self, key: &Path, size: u64) -> Result<Option<String>> {
        let Some(about) = self.about(key).await?.filter(|about| about.size == size) else { return Ok(None) };
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < size {
            let upto = size.min(at + STEP);
            match self.try_range(key, at..upto, about.e_tag.as_deref()).await {
                Ok(bytes) => hash.update(bytes),
                // Others may remove it at any time, once they have published.
                Err(StoreError::NotFound { .. } | StoreError::Precondition { .. }) => return Ok(None),
                Err(error) => return Err(self.failed("read", key, error)),
            }
            at = upto;
        }
        Ok(Some(hex(&hash.finalize())))
    }

    /// Some bytes of an object that has them; of the version `e_tag`, if that is given.
    pub(crate) async fn range(&self, key: &Path, range: Range<u64>, e_tag: Option<&str>) -> Result<Bytes> {
        self.try_range(key, range, e_tag).await.map_err(|e| self.failed("read", key, e))
    }

    async fn try_range(&self, key: &Path, range: Range<u64>, e_tag: Option<&str>) -> Result<Bytes, StoreError> {
        let call = || async {
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: e_tag.map(str::to_owned),
                ..GetOptions::default()
            };
            let bytes = self.store.get_opts(key, options).await?.bytes().await?;
            whole(range.end - range.start, bytes.len() as u64)?;
            Ok(bytes)
        };
        self.retry(call).await
    }

    /// What is known of an object; `None` when there is none.
    pub(crate) async fn about(&self, key: &Path) -> Result<Option<ObjectMeta>> {
        match self.retry(|| self.store.head(key)).await {
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", key, error)),
            Ok(meta) => Ok(Some(meta)),
        }
    }

    /// The size of an object; `None` when there is none.
    pub(crate) async fn size(&self, key: &Path) -> Result<Option<u64>> {
        Ok(self.about(key).await?.map(|about| about.size))
    }

    /// Puts an object that only this attempt writes, always with the same bytes.
    pub(crate) async fn put(&self, key: &Path, payload: PutPayload) -> Result<()> {
        let put = || self.store.put(key, payload.clone());
        self.retry(put).await.map(drop).map_err(|e| self.failed("write", key, e))
    }

    /// Puts an object if there is none. What a lost answer left behind counts as made now if it is these bytes.
    pub(crate) async fn create(&self, key: &Path, bytes: &Bytes) -> Result<Created> {
        if self.single_writer {
            if self.size(key).await?.is_some() {
                return Ok(Created::Taken);
            }
            return self.put(key, bytes.clone().into()).await.map(|()| Created::Now);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = || self.store.put_opts(key, bytes.clone().into(), options.clone());
        let mut tried = 1;
        loop {
            let error = match self.retry(put).await {
                Ok(_) => return Ok(Created::Now),
                Err(error) => error,
            };
            let there = self.get(key, bytes.len() as u64).await;
            let taken = matches!(error, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. });
            match there {
                // Only the answer was lost.
                Ok(Some(found)) if found.bytes == *bytes => return Ok(Created::Now),
                // A conflict with a put that came to nothing, which may be an earlier one of ours.
                Ok(None) if taken && tried < self.tries => self.wait(tried).await,
                _ if taken => return Ok(Created::Taken),
                _ => return Err(self.failed("create", key, error)),
            }
            tried += 1;
        }
    }

    /// Everything below a prefix, each key once.
    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let list = || self.store.list(Some(prefix)).try_collect::<Vec<_>>();
        let mut found = self.retry(list).await.map_err(|e| self.failed("list", prefix, e))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        found.dedup_by(|a, b| a.location == b.location);
        Ok(found)
    }

    /// Removes an object, which need not be there.
    pub(crate) async fn delete(&self, key: &Path) -> Result<()> {
        let delete = || async {
            let one = futures::stream::iter([Ok(key.clone())]).boxed();
            self.store.delete_stream(one).try_collect::<Vec<_>>().await
        };
        match self.retry(delete).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", key, error)),
        }
    }

    /// Begins an upload in pieces.
    pub(crate) async fn begin_upload(&self, key: &Path) -> Result<String> {
        let begin = || self.store.create_multipart(key);
        self.retry(begin).await.map_err(|e| self.failed("begin to write", key, e))
    }

    /// Uploads a piece.
    pub(crate) async fn put_piece(
        &self,
        key: &Path,
        id: &String,
        at: usize,
        payload: PutPayload,
    ) -> Result<object_store::multipart::PartId> {
        let put = || self.store.put_part(key, id, at, payload.clone());
        self.retry(put).await.map_err(|e| self.failed("write", key, e))
    }

    /// Completes an upload of `size` bytes. After a lost answer, what is there decides.
    pub(crate) async fn end_upload(
        &self,
        key: &Path,
        id: &String,
        pieces: Vec<object_store::multipart::PartId>,
        size: u64,
    ) -> Result<()> {
        let end = || self.store.complete_multipart(key, id, pieces.clone());
        match self.retry(end).await {
            Ok(_) => Ok(()),
            Err(error) => match self.size(key).await {
                Ok(Some(there)) if there == size => Ok(()),
                _ => Err(self.failed("write", key, error)),
            },
        }
    }

    /// Gives an upload up, which may be complete or gone.
    pub(crate) async fn drop_upload(&self, key: &Path, id: &String) -> Result<()> {
        match self.retry(|| self.store.abort_multipart(key, id)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("give up", key, error)),
        }
    }
}

/// An answer that ended early is as good as none.
fn whole(size: u64, came: u64) -> Result<(), StoreError> {
    if size == came {
        return Ok(());
    }
    let source = format!("{came} of {size} bytes came").into();
    Err(StoreError::Generic { store: "store", source })
}

/// An error of this crate: its kind from what the store answered, its cause escaped and without a log's worth of text.
pub(crate) fn failed(message: &str, error: StoreError) -> Error {
    let kind = match &error {
        e if is_denied(e) => ErrorKind::Denied,
        StoreError::NotFound { .. } => ErrorKind::Create,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => ErrorKind::Config,
        StoreError::UnknownConfigurationKey { .. } | StoreError::InvalidPath { .. } => ErrorKind::Config,
        _ => ErrorKind::Io,
    };
    let new = Error::new(kind, message);
    match kind {
        ErrorKind::Denied => new.advise("check the credentials of the store, and what they may do there"),
        ErrorKind::Create => new.advise("check that the bucket exists"),
        _ => new,
    }
    .because(Cause::new(&error))
}

fn is_denied(error: &StoreError) -> bool {
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => true,
        // S3 answers 400 when a session has come to its end.
        StoreError::Generic { source, .. } => source.to_string().contains("ExpiredToken"),
        _ => false,
    }
}

/// Whether asking again cannot help.
pub(crate) fn is_final(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::AlreadyExists { .. }
            | StoreError::Precondition { .. }
            | StoreError::NotModified { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::InvalidPath { .. }
            | StoreError::UnknownConfigurationKey { .. }
    ) || is_denied(error)
}

/// What the store said, fit to be shown: without control characters, not all of it, and without what may be a secret.
///
/// A URL loses its query, which may be signed. Of an error in XML only code and message are left: what else there is may repeat the
/// request, with its signature and session token.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    const LONGEST: usize = 400;

    /// What is shown of an error.
    #[must_use]
    pub fn new(error: &StoreError) -> Self {
        let text = without_queries(&without_markup(&error.to_string()));
        let mut text: String = text.chars().take(Self::LONGEST).flat_map(escape).collect();
        if text.len() > Self::LONGEST {
            text.push_str(" ...");
        }
        Self(text)
    }
}

/// An error in XML as its code and its message.
fn without_markup(text: &str) -> String {
    let Some(from) = text.find("<?xml").or_else(|| text.find("<Error")) else { return text.to_owned() };
    let (before, xml) = text.split_at(from);
    let element = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
    };
    let said: Vec<_> = [element("Code"), element("Message")].into_iter().flatten().collect();
    format!("{before}{}", said.join(": "))
}

/// URLs without what follows their path.
fn without_queries(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        let end = url.find(|c: char| c.is_whitespace() || "\"'<>()".contains(c)).unwrap_or(url.len());
        let (url, behind) = url.split_at(end);
        shown.push_str(before);
        // What stands before an @ may be a password.
        let (host, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        shown.push_str(host.rsplit_once('@').map_or(host, |(_, host)| host));
        match path.find(['?', '#']) {
            Some(query) => shown.extend([path.split_at(query).0, "?..."]),
            None => shown.push_str(path),
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// What a terminal or a log could take for anything but text, escaped.
fn escape(c: char) -> Vec<char> {
    let odd =
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if odd { c.escape_unicode().collect() } else { vec![c] }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_said_is_shown_without_what_may_be_a_secret() {
        let shown =
            |text: &str| Cause::new(&StoreError::Generic { store: "S3", source: text.to_owned().into() }).to_string();
        let signed =
            "cannot get https://k:SECRET@host/c/a.json?sv=1&sig=SECRET: 403; (http://h/x#SECRET) http://h?sig=SECRET";
        let text = shown(signed);
        assert!(text.contains("https://host/c/a.json?...") && text.contains("403; (http://h/x?...)"), "{text}");
        let xml = "403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>Check it</Message>\
                   <CanonicalRequest>x-amz-security-token:SECRET</CanonicalRequest></Error>";
        assert!(shown(xml).ends_with("403 Forbidden: SignatureDoesNotMatch: Check it"), "{}", shown(xml));
        for text in [signed, xml, "at http://u:SECRET@h", "x://?SECRET"] {
            assert!(!shown(text).contains("SECRET"), "{}", shown(text));
        }
        assert_eq!(without_queries("nothing? of the kind: a://b c"), "nothing? of the kind: a://b c");
    }
}
