//! Where tables are: a folder, or a prefix in an object store.
//!
//! A store's credentials and its endpoint come from the environment, by the names that its own tools use. A URL with anything but a
//! bucket and a prefix is refused, and not repeated, because it may hold them.

use std::path::{Path, PathBuf};

use pagemill::{Error, Result};

/// Where tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder on a local disk.
    Folder(PathBuf),
    /// A prefix in an object store.
    Store(Address),
}

/// A prefix in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) provider: Provider,
    pub(crate) bucket: String,
    /// Without slashes around it; empty for the bucket itself.
    pub(crate) prefix: String,
}

/// Whose object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    S3,
    Gcs,
    Azure,
}

impl Provider {
    fn of_scheme(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "s3" => Self::S3,
            "gs" => Self::Gcs,
            "az" => Self::Azure,
            _ => return None,
        })
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// The feature of this package that has it.
    #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

impl Address {
    /// The bucket's URL.
    pub(crate) fn root(&self) -> String {
        format!("{}://{}", self.provider.scheme(), self.bucket)
    }
}

impl Place {
    /// What `text` is: a URL of a known store, or a folder.
    pub(crate) fn of(text: &Path) -> Result<Self> {
        // What has `://` in it is a URL that was meant, however it is written: a folder of such a name helps nobody.
        let Some((scheme, rest)) = text.to_str().and_then(|text| text.split_once("://")) else {
            return Ok(Self::Folder(text.to_owned()));
        };
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Ok(Self::Folder(text.to_owned()));
        }
        let known = "tables go to a folder, or to s3://bucket/prefix, gs://bucket/prefix or az://container/prefix";
        let Some(provider) = Provider::of_scheme(scheme) else {
            return Err(Error::config(format!("{scheme}:// is no place for tables")).advise(known));
        };
        if rest.contains(['@', '?', '#']) {
            return Err(Error::config(format!("after {scheme}:// comes more than a bucket and a prefix"))
                .advise("give credentials and options in the environment, where nobody else sees them"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if bucket.is_empty() || bucket.starts_with('.') || !bucket.bytes().all(fits) {
            return Err(Error::config(format!("{bucket:?} cannot be a bucket")).advise(known));
        }
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self::Store(Address { provider, bucket: bucket.to_owned(), prefix }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(provider: Provider, bucket: &str, prefix: &str) -> Place {
        Place::Store(Address { provider, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    #[test]
    fn urls_of_stores_are_told_from_folders() {
        let of = |text: &str| Place::of(Path::new(text)).expect("a place");
        assert_eq!(of("s3://bucket/lake/v1/"), store(Provider::S3, "bucket", "lake/v1"));
        assert_eq!(of("s3://my.bucket-1"), store(Provider::S3, "my.bucket-1", ""));
        assert_eq!(of("gs://b_1//x"), store(Provider::Gcs, "b_1", "x"));
        assert_eq!(of("az://c/o"), store(Provider::Azure, "c", "o"));
        for folder in ["out", "/tmp/out", "s3:/x", "s3/x", "./s3://x", "://x", "a b://x", "C:\\x"] {
            assert_eq!(of(folder), Place::Folder(folder.into()), "{folder}");
        }
    }

    #[test]
    fn urls_that_hold_more_are_refused_and_not_repeated() {
        for text in ["s3://KEY:SECRET@bucket/x", "az://c/x?sig=SECRET", "gs://b/x#SECRET", "s3://b/x?SECRET"] {
            let error = Place::of(Path::new(text)).expect_err("refused");
            assert!(!format!("{error:?}").contains("SECRET") && error.to_string().contains("environment"), "{error}");
        }
        for text in ["s3://", "s3:///x", "s3://../x", "s3://b c/x", "S3://b/x", "http://b/x", "file:///x", "s3a://b/x"]
        {
            let error = Place::of(Path::new(text)).expect_err("refused");
            assert_eq!(error.kind(), pagemill::ErrorKind::Config, "{text}");
        }
    }
}
