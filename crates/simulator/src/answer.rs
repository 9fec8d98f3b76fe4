//! From a request to an answer: routes, accounts, filters, cursors, formats.

use std::sync::Arc;

use crate::accounts::{Account, Channels, Members, Whose, Workspaces};
use crate::app::Api;
use crate::error::ApiError;
use crate::fault::Kind;
use crate::ident::MAX_MEMBERS;
use crate::ledger::Listed;
use crate::listing::{Records, Window};
use crate::mark::Oddity;
use crate::page::{self, Envelope, Framing};
use crate::people::People;
use crate::places::position;
use crate::profile::Provider;
use crate::query::{Format, Query, decode};
use crate::record::Look;
use crate::stream::Rest;

/// A cursor is the index where its page starts, and above that how many empty pages have stood there: a multiple of this.
const EMPTIES: u64 = MAX_MEMBERS << 1;

/// An answer that is a success.
pub(crate) enum Answer {
    /// A page, or one record.
    Json {
        /// The body.
        body: Vec<u8>,
        /// What a ledger, or a fault, has to know of a page.
        listed: Option<Listed>,
    },
    /// A whole listing.
    Stream(Rest, Option<Listed>),
}

/// A resource of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Members,
    Channels,
    Workspaces,
}

/// What a path asks for: a listing, or one record.
struct Target {
    resource: Resource,
    id: Option<String>,
}

fn target(path: &str) -> Result<Target, ApiError> {
    let unknown = || ApiError::not_found(format!("There is nothing at {path}"));
    let rest = path.strip_prefix("/unified/instant-messaging/").ok_or_else(unknown)?;
    let (name, id) = match rest.trim_end_matches('/').split_once('/') {
        Some((name, id)) => (name, Some(decode(id, false))),
        None => (rest.trim_end_matches('/'), None),
    };
    let resource = match name {
        "members" => Resource::Members,
        "channels" => Resource::Channels,
        "workspaces" if id.is_none() => Resource::Workspaces,
        _ => return Err(unknown()),
    };
    Ok(Target { resource, id })
}

/// The account that a request for something we have is about.
pub(crate) fn account(path: &str, query: &Query) -> Result<Account, ApiError> {
    target(path)?;
    let id =
        query.get("integrated_account_id").ok_or_else(|| ApiError::bad_request("integrated_account_id is required"))?;
    Account::named(id).ok_or_else(|| ApiError::not_found("Integrated account not found"))
}

/// Decides the answer to a GET of `path` with `query`, for an account that may ask. `url` is what was asked for.
/// `request` is the ordinal of the request.
pub(crate) fn answer(
    api: &Api,
    account: Account,
    path: &str,
    query: &Query,
    url: &str,
    request: u64,
) -> Result<Answer, ApiError> {
    let Target { resource, id } = target(path)?;
    let ask = Ask { api, account, resource, query, url, request, people: api.people(account), format: query.format()? };
    match id {
        Some(id) => ask.one(&id),
        None => ask.list(),
    }
}

struct Ask<'a> {
    api: &'a Api,
    account: Account,
    resource: Resource,
    query: &'a Query,
    url: &'a str,
    request: u64,
    people: Arc<People>,
    format: Format,
}

impl Ask<'_> {
    fn one(&self, id: &str) -> Result<Answer, ApiError> {
        let workspace = match self.account {
            Account::Teams | Account::Microsoft365 => self.required_workspace(&[])?,
            Account::Everything | Account::Slack => None,
        };
        let (records, index): (Arc<dyn Records>, _) = match self.resource {
            Resource::Members => {
                let whose = workspace.map_or(Whose::Everybody, Whose::Workspace);
                let members = Members::new(self.people.clone(), self.api.members(), whose);
                let index = self.people.find(id, members.count()).filter(|&index| members.selects(index));
                (Arc::new(members), index)
            }
            Resource::Channels | Resource::Workspaces => {
                let channels = Channels { people: self.people.clone(), workspace, kinds: None };
                let index = channels.find(id);
                (Arc::new(channels), index)
            }
        };
        let index = index.ok_or_else(|| ApiError::remote_not_found("not_found"))?;
        let (look, mut body) = (self.look()?, Vec::new());
        match self.format {
            Format::Raw => records.write_raw(index, &look, &mut body),
            _ => records.write(index, &look, &mut body),
        }
        self.api.served().records(1);
        Ok(Answer::Json { body, listed: None })
    }

    fn list(&self) -> Result<Answer, ApiError> {
        let (records, partial) = self.records()?;
        let (listing, cursors) = (self.listing(), self.api.cursors());
        let cursor = self.query.get("next_cursor");
        // Where the page starts, and how many empty pages have stood in its place.
        let (start, empties) = match cursor {
            None => (0, 0),
            Some(cursor) => cursors
                .read(&listing, cursor)
                .map(|both| (both & (EMPTIES - 1), both / EMPTIES))
                .filter(|&(start, _)| start <= records.count())
                .ok_or_else(|| ApiError::bad_request("next_cursor is not a cursor of this listing"))?,
        };
        let limit = self.limit()?;
        let mut look = self.look()?;
        let stream = matches!(self.format, Format::StreamLines | Format::StreamArray);
        let mut listed = self.api.is_watched().then(|| {
            let before = (0..start).filter(|&index| records.selects(index)).count();
            let page = (before / limit.max(1)) as u64;
            let fault = self.api.strikes().next(page, self.request).cloned();
            Listed { page, cursor_in: cursor.map(str::to_owned), fault, ..Listed::default() }
        });
        let twist = listed.as_ref().and_then(|listed| listed.fault.as_ref()).map(|fault| fault.kind.clone());
        if let Some(listed) = &listed {
            look.marks.stamp = self.api.stamps().then_some((listed.page, self.request));
        }
        look.marks.oddity = match twist {
            Some(Kind::Retype) => Some(Oddity::Retyped),
            Some(Kind::Deep(levels)) => Some(Oddity::Deep(levels)),
            Some(Kind::Huge(bytes)) => Some(Oddity::Huge(bytes)),
            _ => None,
        };
        self.api.served().page();
        let ids = |indexes: &[u64]| indexes.iter().filter_map(|&index| records.key(index, "id")).collect();
        if stream {
            if let Some(listed) = &mut listed {
                let all: Vec<_> = (start..records.count()).filter(|&index| records.selects(index)).collect();
                listed.ids = ids(&all);
            }
            let array = self.format == Format::StreamArray;
            return Ok(Answer::Stream(Rest { records, start, array, look, made: 0 }, listed));
        }
        let mut window = Window::of(&*records, start, limit);
        match (twist, listed.as_ref().map_or(0, |listed| listed.page)) {
            (Some(Kind::Empty(pages)), _) if empties < pages => {
                window.indexes.clear();
                window.next = Some(start + (empties + 1) * EMPTIES);
            }
            (Some(Kind::CursorLoop(back)), page) => {
                let mut all = (0..records.count()).filter(|&index| records.selects(index));
                let first = (page + 1).saturating_sub(back).saturating_mul(limit as u64);
                window.next = all.nth(usize::try_from(first).unwrap_or(usize::MAX));
            }
            (Some(Kind::Repeat(count)), _) => {
                let before = (0..start).rev().filter(|&index| records.selects(index));
                let mut indexes: Vec<_> = before.take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
                indexes.reverse();
                indexes.append(&mut window.indexes);
                window.indexes = indexes;
            }
            (Some(Kind::Differ), _) => window.indexes.reverse(),
            _ => {}
        }
        let next = window.next.map(|start| cursors.make(&listing, start));
        let previous = window.previous.map(|start| cursors.make(&listing, start));
        if let Some(listed) = &mut listed {
            listed.ids = ids(&window.indexes);
            listed.cursor_out.clone_from(&next);
        }
        let mut body = Vec::new();
        let count = if self.format == Format::Raw {
            let provider = self.account.provider().unwrap_or(Provider::Slack);
            page::write_raw(&*records, &window.indexes, provider, self.plural(), next.as_deref(), &look, &mut body)
        } else {
            let framing = self
                .query
                .get("truto_key_by")
                .map_or(Framing::Envelope, |property| Framing::Keyed(property.to_owned()));
            let envelope = Envelope {
                next_cursor: next.as_deref(),
                prev_cursor: previous.as_deref(),
                cursor_first: self.api.cursor_first(),
                partial: partial.then_some(true),
                debug: (self.format == Format::Debug).then_some(self.url),
            };
            page::write(&*records, &window.indexes, &framing, &envelope, &look, &mut body)
        };
        self.api.served().records(count);
        Ok(Answer::Json { body, listed })
    }

    /// The records that the request is about, and whether the provider lists only part of each.
    fn records(&self) -> Result<(Arc<dyn Records>, bool), ApiError> {
        let people = self.people.clone();
        let microsoft = matches!(self.account, Account::Teams | Account::Microsoft365);
        Ok(match self.resource {
            Resource::Members => {
                let whose = match self.account {
                    Account::Slack => Whose::Channel(self.channel()?.ok_or_else(|| ApiError::missing(&["channel"]))?),
                    Account::Teams | Account::Microsoft365 => {
                        self.required_workspace(&[])?.map_or(Whose::Everybody, Whose::Workspace)
                    }
                    Account::Everything => match (self.channel()?, self.workspace()?) {
                        (Some(channel), _) => Whose::Channel(channel),
                        (None, Some(workspace)) => Whose::Workspace(workspace),
                        (None, None) => Whose::Everybody,
                    },
                };
                let partial = self.account == Account::Slack;
                (Arc::new(Members::new(people, self.api.members(), whose).partial(partial)), partial)
            }
            Resource::Channels => {
                let kinds = self.query.list("type");
                let workspace = if microsoft {
                    self.required_workspace(if kinds.is_empty() { &["type"] } else { &[] })?
                } else {
                    None
                };
                (Arc::new(Channels { people, workspace, kinds: microsoft.then_some(kinds) }), false)
            }
            Resource::Workspaces => match self.account {
                Account::Slack => return Err(ApiError::method_not_allowed()),
                Account::Teams if self.query.get("is_member").is_none() => {
                    return Err(ApiError::missing(&["is_member"]));
                }
                _ => (Arc::new(Workspaces { people }), false),
            },
        })
    }

    fn channel(&self) -> Result<Option<usize>, ApiError> {
        let found = |id| position(&self.people.places.channels, id);
        self.query
            .reference("channel")
            .map(|id| found(id).ok_or_else(|| ApiError::remote_not_found("channel_not_found")))
            .transpose()
    }

    fn workspace(&self) -> Result<Option<usize>, ApiError> {
        let found = |id| position(&self.people.places.workspaces, id);
        self.query
            .reference("workspace")
            .map(|id| found(id).ok_or_else(|| ApiError::remote_not_found("workspace_not_found")))
            .transpose()
    }

    /// The workspace without which a Microsoft account answers nothing; `also` names what is missing beside it.
    fn required_workspace(&self, also: &[&str]) -> Result<Option<usize>, ApiError> {
        let workspace = self.workspace()?;
        let mut missing = also.to_vec();
        if workspace.is_none() {
            missing.insert(0, "workspace");
        }
        if missing.is_empty() { Ok(workspace) } else { Err(ApiError::missing(&missing)) }
    }

    /// The text whose fingerprint a cursor carries: everything that decides which records are listed, and nothing
    /// that only decides how they look or how many come at a time.
    fn listing(&self) -> String {
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            self.account,
            self.resource,
            self.query.reference("channel"),
            self.query.reference("workspace"),
            self.query.list("type"),
        )
    }

    fn look(&self) -> Result<Look, ApiError> {
        Ok(Look {
            without_remote_data: self.query.flag("truto_ignore_remote_data")?,
            excluded: self.query.list("truto_exclude_fields"),
            ..Look::default()
        })
    }

    fn limit(&self) -> Result<usize, ApiError> {
        let (default, ceiling) = self.api.limits();
        let limit = self.query.limit()?;
        Ok(if self.query.flag("truto_ignore_limit")? { ceiling } else { limit.unwrap_or(default).min(ceiling) })
    }

    fn plural(&self) -> &'static str {
        match self.resource {
            Resource::Members => "members",
            Resource::Channels => "channels",
            Resource::Workspaces => "workspaces",
        }
    }
}
