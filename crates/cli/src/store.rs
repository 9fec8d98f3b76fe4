//! Object stores: how the command reaches them.

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(crate) use reached::{published, sink, sweep};
#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
pub(crate) use unreached::{published, sink, sweep};

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
fn not_built(address: &crate::place::Address) -> pagemill::Error {
    let feature = address.provider.feature();
    pagemill::Error::config(format!("this pagemill was built without what it takes to reach {}", address.root()))
        .advise(format!("build it with `--features {feature}`, or with `--features cloud` for all stores"))
}

/// A command without any.
#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
mod unreached {
    use std::time::SystemTime;

    use pagemill::{Error, Result};
    use pagemill_sink::{LocalPublished, LocalStore};

    use super::not_built;
    use crate::place::Address;

    pub(crate) fn sink(address: &Address, _: bool) -> Result<LocalStore> {
        Err(not_built(address))
    }

    pub(crate) fn published(address: &Address) -> Result<LocalPublished> {
        Err(not_built(address))
    }

    pub(crate) fn sweep(address: &Address, _: SystemTime, _: bool) -> Result<(Vec<String>, Option<Error>)> {
        Err(not_built(address))
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod reached {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use object_store::{BackoffConfig, RetryConfig};
    use pagemill::{Error, Result, Run};
    use pagemill_sink_object::{Cause, ObjectPublished, ObjectSink, Remote};

    use crate::place::{Address, Provider};

    /// Times that a call is made, each of them with the client's own repetitions, and the wait before the second.
    const TRIES: (u32, Duration) = (4, Duration::from_secs(1));

    /// Where a run's files go. `alone`: the caller says that no two runs of a slot ever overlap.
    pub(crate) fn sink(address: &Address, alone: bool) -> Result<ObjectSink> {
        let sink = ObjectSink::shared(remote(address)?, address.root(), &address.prefix);
        Ok(sink.tries(TRIES.0, TRIES.1).unsafe_single_writer(alone))
    }

    /// What is published there.
    pub(crate) fn published(address: &Address) -> Result<ObjectPublished> {
        ObjectPublished::new(remote(address)?, address.root(), &address.prefix)
    }

    /// Removes what runs that died have left, if nothing was written there since `since`; gives what was, or would be, removed, and
    /// the first error.
    pub(crate) fn sweep(address: &Address, since: SystemTime, remove: bool) -> Result<(Vec<String>, Option<Error>)> {
        let mut sink = sink(address, false)?;
        let (mut gone, mut failed) = (Vec::new(), None);
        for key in published(address)?.known()? {
            let run = Run {
                dataset: key.dataset,
                slot: key.slot,
                config: std::collections::BTreeMap::new(),
                pages: pagemill::Pages::default(),
            };
            match sink.clean(&run, &[], since, !remove) {
                Ok(removed) => gone.extend(removed),
                // What is wrong with one is no reason to leave the others as they are.
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        Ok((gone, failed))
    }

    /// What a client repeats by itself: failures that pass within seconds. What lasts longer is for [`TRIES`], which ask for
    /// credentials anew, and in the end for the scheduler: the run is gone on with.
    #[allow(dead_code, reason = "which provider needs it is a matter of features")]
    fn retry() -> RetryConfig {
        let backoff =
            BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2. };
        RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(60) }
    }

    fn remote(address: &Address) -> Result<Arc<dyn Remote>> {
        // Clients of two generations are in this program; they are to use one implementation of TLS. Where one was chosen before,
        // it stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let bucket = address.bucket.as_str();
        let built: object_store::Result<Arc<dyn Remote>> = match address.provider {
            #[cfg(feature = "s3")]
            Provider::S3 => {
                let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
                builder.with_retry(retry()).build().map(|store| Arc::new(store) as _)
            }
            #[cfg(feature = "gcs")]
            Provider::Gcs => {
                let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                builder.with_retry(retry()).build().map(|store| Arc::new(store) as _)
            }
            #[cfg(feature = "azure")]
            Provider::Azure => {
                let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                builder.with_retry(retry()).build().map(|store| Arc::new(store) as _)
            }
            #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
            _ => return Err(super::not_built(address)),
        };
        built.map_err(|error| {
            Error::config(format!("{} cannot be reached with what the environment says", address.root()))
                .advise("see the README for the variables that each store needs")
                .because(Cause::new(&error))
        })
    }
}
