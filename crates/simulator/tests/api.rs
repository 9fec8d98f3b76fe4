//! The API over real sockets, as its contract has it.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flate2::read::GzDecoder;
use pagemill_simulator::{
    ACCOUNT, Builder, FIELDS, MAX_MEMBERS, MICROSOFT_ACCOUNT, PageOptions, Profile, Rate, SLACK_ACCOUNT, Served,
    Simulator, TEAMS_ACCOUNT, members_page,
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

const MEMBERS: &str = "/unified/instant-messaging/members";
const CHANNELS: &str = "/unified/instant-messaging/channels";
const WORKSPACES: &str = "/unified/instant-messaging/workspaces";

struct Client {
    simulator: Simulator,
    http: reqwest::Client,
}

async fn start(builder: Builder) -> Client {
    Client { simulator: builder.start().await.expect("starts"), http: reqwest::Client::new() }
}

impl Client {
    async fn send(&self, path: &str, query: &str) -> Response {
        let url = format!("{}{path}?{query}", self.simulator.url());
        self.http.get(url).bearer_auth("any").send().await.expect("an answer")
    }

    async fn get(&self, path: &str, account: &str, query: &str) -> (StatusCode, Value) {
        let response = self.send(path, &format!("integrated_account_id={account}&{query}")).await;
        let status = response.status();
        let body = response.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}")))
    }

    async fn page(&self, path: &str, account: &str, query: &str) -> Value {
        let (status, body) = self.get(path, account, query).await;
        assert_eq!(status, 200, "{query}: {body}");
        body
    }

    /// Every page of a listing, in order.
    async fn walk(&self, path: &str, account: &str, query: &str) -> Vec<Value> {
        let mut pages = vec![self.page(path, account, query).await];
        while let Some(cursor) = pages.last().and_then(|page| page["next_cursor"].as_str()).map(str::to_owned) {
            pages.push(self.page(path, account, &format!("{query}&next_cursor={cursor}")).await);
        }
        pages
    }
}

fn records(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["result"].as_array().expect("an array").clone()).collect()
}

fn all(seed: u64, members: u64) -> Vec<Value> {
    let page = members_page(seed, 0..members, &PageOptions::default());
    serde_json::from_slice::<Value>(&page).expect("a page")["result"].as_array().expect("an array").clone()
}

fn ids(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["id"].as_str().map_or_else(|| record["id"].to_string(), str::to_owned)).collect()
}

#[tokio::test]
async fn every_walk_visits_each_member_once_and_in_order() {
    let client = start(Simulator::builder().members(230).seed(4)).await;
    let expected = all(4, 230);
    for (limit, pages) in [(1, 230), (7, 33), (100, 3), (115, 2), (230, 1), (1000, 1)] {
        let walked = client.walk(MEMBERS, ACCOUNT, &format!("limit={limit}")).await;
        assert_eq!(walked.len(), pages, "limit {limit}");
        assert_eq!(records(&walked), expected, "limit {limit}");
        for page in &walked {
            assert_eq!(page["result_count"], page["result"].as_array().expect("an array").len());
        }
    }
    assert_eq!(client.walk(MEMBERS, ACCOUNT, "").await.len(), 3, "the default is 100");
}

#[tokio::test]
async fn no_member_is_an_empty_page() {
    let client = start(Simulator::builder().members(0)).await;
    let page = client.page(MEMBERS, ACCOUNT, "").await;
    assert_eq!(page, json!({"result": [], "next_cursor": null, "prev_cursor": null, "result_count": 0}));
}

#[tokio::test]
async fn the_previous_cursor_leads_back() {
    let client = start(Simulator::builder().members(50)).await;
    let pages = client.walk(MEMBERS, ACCOUNT, "limit=20").await;
    assert!(pages[0]["prev_cursor"].is_null());
    let back = pages[2]["prev_cursor"].as_str().expect("a cursor");
    assert_eq!(client.page(MEMBERS, ACCOUNT, &format!("limit=20&next_cursor={back}")).await, pages[1]);
}

#[tokio::test]
async fn limits_have_a_default_and_a_ceiling() {
    let client = start(Simulator::builder().members(100).default_limit(10).max_limit(40)).await;
    for (query, count) in [
        ("", 10),
        ("limit=25", 25),
        ("limit=99", 40),
        ("truto_ignore_limit=true", 40),
        ("truto_ignore_limit=true&limit=3", 40),
        ("truto_ignore_limit=false&limit=3", 3),
        ("next_cursor=&limit=None", 10),
    ] {
        assert_eq!(client.page(MEMBERS, ACCOUNT, query).await["result_count"], count, "{query}");
    }
    for query in ["limit=0", "limit=-5", "limit=ten", "truto_ignore_limit=perhaps", "truto_response_format=xml"] {
        assert_eq!(client.get(MEMBERS, ACCOUNT, query).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn keyed_results_hold_the_same_records() {
    let client = start(Simulator::builder().members(60).seed(4)).await;
    let page = client.page(MEMBERS, ACCOUNT, "truto_key_by=id").await;
    let keyed = page["result"].as_object().expect("an object");
    let expected = all(4, 60);
    assert_eq!(keyed.keys().cloned().collect::<Vec<_>>(), ids(&expected));
    assert_eq!(keyed.values().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(page["result_count"], 60);
}

#[tokio::test]
async fn fields_are_left_out_in_every_form_of_asking() {
    let client = start(Simulator::builder().members(5)).await;
    let expected = client.page(MEMBERS, ACCOUNT, "truto_exclude_fields[]=bio&truto_exclude_fields[]=emails").await;
    for record in records(std::slice::from_ref(&expected)) {
        assert!(record.get("bio").is_none() && record.get("emails").is_none() && record.get("id").is_some());
    }
    for query in [
        "truto_exclude_fields%5B%5D=bio&truto_exclude_fields%5B%5D=emails",
        "truto_exclude_fields[0]=bio&truto_exclude_fields%5B1%5D=emails",
        "truto_exclude_fields=bio,emails",
    ] {
        assert_eq!(client.page(MEMBERS, ACCOUNT, query).await, expected, "{query}");
    }
    let lean = client.page(MEMBERS, ACCOUNT, "truto_ignore_remote_data=true").await;
    assert!(records(&[lean]).iter().all(|record| record.get("remote_data").is_none()));
}

#[tokio::test]
async fn a_stream_is_all_pages_one_after_another() {
    let client = start(Simulator::builder().members(730).seed(4).gzip(true)).await;
    let expected =
        members_page(4, 0..730, &PageOptions { framing: pagemill_simulator::Framing::Lines, ..PageOptions::default() });
    let ask = format!("integrated_account_id={ACCOUNT}&truto_response_format=stream");
    let lines = client.send(MEMBERS, &ask).await;
    assert_eq!(lines.headers()["content-type"], "application/x-ndjson");
    assert!(lines.headers().get("content-length").is_none());
    assert_eq!(lines.bytes().await.expect("a body"), expected);

    let array = client.send(MEMBERS, &format!("{ask}&remote_query%5Bstream%5D=array")).await;
    assert_eq!(array.headers()["content-type"], "application/json; charset=utf-8");
    let array: Vec<Value> = serde_json::from_slice(&array.bytes().await.expect("a body")).expect("an array");
    assert_eq!(array, all(4, 730));

    let page = client.page(MEMBERS, ACCOUNT, "limit=100").await;
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let rest = client.send(MEMBERS, &format!("{ask}&next_cursor={cursor}&remote_query[stream]=array")).await;
    let rest: Vec<Value> = serde_json::from_slice(&rest.bytes().await.expect("a body")).expect("an array");
    assert_eq!(rest, all(4, 730)[100..]);

    let url = format!("{}{MEMBERS}?{ask}", client.simulator.url());
    let packed =
        client.http.get(url).bearer_auth("t").header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.expect("a body");
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, expected);
}

#[tokio::test]
async fn streams_of_every_length_are_whole() {
    for members in [0, 1, 99, 100, 101, 200] {
        let client = start(Simulator::builder().members(members)).await;
        let ask = format!("integrated_account_id={ACCOUNT}&truto_response_format=stream");
        let lines = client.send(MEMBERS, &ask).await.text().await.expect("a body");
        assert_eq!(lines.lines().count() as u64, members);
        let array =
            client.send(MEMBERS, &format!("{ask}&remote_query[stream]=array")).await.bytes().await.expect("a body");
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&array).expect("an array").len() as u64, members);
        assert_eq!(client.simulator.served(), Served { requests: 2, refused: 0, pages: 2, records: 2 * members });
    }
}

#[tokio::test]
async fn gzip_is_for_those_who_ask_for_it_and_only_if_switched_on() {
    for (on, accept, packed) in [
        (true, "gzip", true),
        (true, "br, GZIP;q=0.5", true),
        (true, "gzip;q=0", false),
        (true, "br", false),
        (false, "gzip", false),
    ] {
        let client = start(Simulator::builder().members(5).gzip(on)).await;
        let url = format!("{}{MEMBERS}?integrated_account_id={ACCOUNT}", client.simulator.url());
        let response =
            client.http.get(url).bearer_auth("t").header("accept-encoding", accept).send().await.expect("sent");
        assert_eq!(response.headers().contains_key("content-encoding"), packed, "{accept}");
        let body = response.bytes().await.expect("a body");
        let mut plain = Vec::new();
        if packed {
            GzDecoder::new(&*body).read_to_end(&mut plain).expect("gzip");
        } else {
            plain = body.to_vec();
        }
        assert_eq!(serde_json::from_slice::<Value>(&plain).expect("a page")["result_count"], 5);
    }
}

#[tokio::test]
async fn cursors_that_are_not_ours_are_refused() {
    let client = start(Simulator::builder().members(50)).await;
    let good = client.page(MEMBERS, ACCOUNT, "limit=20").await["next_cursor"].as_str().expect("a cursor").to_owned();
    let mut changed = good.clone();
    let first = if changed.remove(20) == 'A' { 'B' } else { 'A' };
    changed.insert(20, first);
    for bad in [changed.as_str(), &good[1..], "1", "null", "AAAA"] {
        let (status, body) = client.get(MEMBERS, ACCOUNT, &format!("next_cursor={bad}")).await;
        assert_eq!(status, 400, "{bad}");
        assert_eq!(body["statusCode"], 400);
        assert!(body["message"].as_str().expect("a message").contains("next_cursor"));
    }
    // Another listing's cursor is no better than an invented one; another limit or look is no other listing.
    assert_eq!(client.get(CHANNELS, ACCOUNT, &format!("next_cursor={good}")).await.0, 400);
    assert_eq!(
        client.get(MEMBERS, ACCOUNT, &format!("next_cursor={good}&limit=7&truto_ignore_remote_data=true")).await.0,
        200
    );
    let other = start(Simulator::builder().members(50).seed(1)).await;
    assert_eq!(other.get(MEMBERS, ACCOUNT, &format!("next_cursor={good}")).await.0, 400);
    let again = start(Simulator::builder().members(50)).await;
    assert_eq!(again.get(MEMBERS, ACCOUNT, &format!("next_cursor={good}")).await.0, 200, "a restart changes nothing");
}

#[tokio::test]
async fn refusals_have_the_documented_body() {
    let client = start(Simulator::builder().members(5).token("right")).await;
    let url = format!("{}{MEMBERS}?integrated_account_id={ACCOUNT}", client.simulator.url());
    let check = async |response: Response, status: u16, error: &str| {
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
        assert_eq!((&body["statusCode"], &body["error"]), (&json!(status), &json!(error)));
        assert!(body["message"].is_string());
    };
    check(client.http.get(&url).send().await.expect("sent"), 401, "Unauthorized").await;
    check(client.http.get(&url).bearer_auth("wrong").send().await.expect("sent"), 401, "Unauthorized").await;
    check(client.http.get(&url).header("authorization", "right").send().await.expect("sent"), 401, "Unauthorized")
        .await;
    assert_eq!(client.http.get(&url).bearer_auth("right").send().await.expect("sent").status(), 200);
    check(client.http.post(&url).bearer_auth("right").send().await.expect("sent"), 405, "Method Not Allowed").await;

    let client = start(Simulator::builder().members(5)).await;
    let url = format!("{}{MEMBERS}?integrated_account_id={ACCOUNT}", client.simulator.url());
    check(client.http.get(&url).send().await.expect("sent"), 401, "Unauthorized").await;
    check(client.http.get(&url).header("authorization", "Bearer ").send().await.expect("sent"), 401, "Unauthorized")
        .await;
    check(client.send(MEMBERS, "").await, 400, "Bad Request").await;
    check(client.send(MEMBERS, "integrated_account_id=nobody").await, 404, "Not Found").await;
    for path in
        ["/", "/unified/instant-messaging/ships", "/unified/crm/members", "/unified/instant-messaging/workspaces/1"]
    {
        check(client.send(path, &format!("integrated_account_id={ACCOUNT}")).await, 404, "Not Found").await;
    }
    assert_eq!(client.simulator.served().refused, 8);
}

#[tokio::test]
async fn a_member_can_be_had_by_its_id() {
    let client = start(Simulator::builder().members(300).seed(4)).await;
    for (id, expected) in ids(&all(4, 300)).iter().zip(all(4, 300)) {
        assert_eq!(client.page(&format!("{MEMBERS}/{id}"), ACCOUNT, "").await, expected);
    }
    let outside = ids(&all(4, 301)).pop().expect("one more");
    for id in [outside.as_str(), "nobody", "U0000000000", "%20"] {
        assert_eq!(client.get(&format!("{MEMBERS}/{id}"), ACCOUNT, "").await.0, 404, "{id}");
    }
    assert_eq!(client.simulator.served().records, 300);
}

#[tokio::test]
async fn slack_lists_bare_ids_of_one_channel_and_gets_whole_members() {
    let client = start(Simulator::builder().members(400).seed(4)).await;
    let (status, body) = client.get(MEMBERS, SLACK_ACCOUNT, "").await;
    assert_eq!(status, 400);
    assert_eq!(body["truto_error_insight"]["missing_required_query_parameters"]["value"], json!(["channel"]));
    assert!(body["truto_error_insight"]["missing_required_query_parameters"]["description"].is_string());

    let channels = records(&client.walk(CHANNELS, SLACK_ACCOUNT, "limit=5").await);
    assert!(channels.len() > 3);
    let mut sets = Vec::new();
    for channel in &channels {
        let id = channel["id"].as_str().expect("an id");
        let bracket = client.walk(MEMBERS, SLACK_ACCOUNT, &format!("limit=50&channel%5Bid%5D={id}")).await;
        let plain = client.walk(MEMBERS, SLACK_ACCOUNT, &format!("limit=1000&channel={id}")).await;
        let listed = records(&bracket);
        assert_eq!(ids(&listed), ids(&records(&plain)));
        for record in &listed {
            let record = record.as_object().expect("an object");
            assert!(record.iter().all(|(name, value)| name == "id" || value.is_null()));
            assert_eq!(record.len(), FIELDS.len() - 1, "all but remote_data");
        }
        assert!(bracket.iter().all(|page| page["is_partial_response"] == true));
        let mut unique = ids(&listed);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), listed.len());
        sets.push(ids(&listed));
    }
    assert_eq!(sets[0].len(), 400, "everyone is in the first");
    assert!(sets[1..].iter().all(|set| set.len() < 400 && set.iter().all(|id| sets[0].contains(id))));
    assert!(sets.last().expect("a channel").is_empty());

    let whole = client.page(&format!("{MEMBERS}/{}", sets[0][3]), SLACK_ACCOUNT, "").await;
    assert_eq!(whole["remote_data"]["id"], sets[0][3].as_str());
    let (status, body) = client.get(MEMBERS, SLACK_ACCOUNT, "channel=C999").await;
    assert_eq!((status.as_u16(), &body["truto_is_remote_error"]), (404, &json!(true)));
    assert_eq!(client.get(WORKSPACES, SLACK_ACCOUNT, "").await.0, 405);
}

#[tokio::test]
async fn teams_and_microsoft_365_want_a_workspace() {
    let client = start(Simulator::builder().members(200).seed(4)).await;
    assert_eq!(client.get(WORKSPACES, TEAMS_ACCOUNT, "").await.0, 400);
    for account in [TEAMS_ACCOUNT, MICROSOFT_ACCOUNT] {
        let (status, body) = client.get(MEMBERS, account, "").await;
        assert_eq!(status, 400);
        assert_eq!(body["truto_error_insight"]["missing_required_query_parameters"]["value"], json!(["workspace"]));
        let (_, body) = client.get(CHANNELS, account, "").await;
        assert_eq!(
            body["truto_error_insight"]["missing_required_query_parameters"]["value"],
            json!(["workspace", "type"])
        );
        let mut everybody = Vec::new();
        for workspace in records(&client.walk(WORKSPACES, account, "is_member=true").await) {
            let filter = format!("workspace%5Bid%5D={}", workspace["id"].as_str().expect("an id"));
            let members = records(&client.walk(MEMBERS, account, &format!("limit=9&{filter}")).await);
            for member in &members {
                if let Some(homes) = member["workspaces"].as_array() {
                    assert!(homes.iter().any(|home| home["id"] == workspace["id"]));
                }
            }
            let one = ids(&members).swap_remove(0);
            assert_eq!(client.page(&format!("{MEMBERS}/{one}"), account, &filter).await, members[0]);
            assert_eq!(client.get(&format!("{MEMBERS}/{one}"), account, "").await.0, 400);
            everybody.extend(ids(&members));
            let channels = records(&client.walk(CHANNELS, account, &format!("{filter}&type[]=all")).await);
            assert!(channels.iter().all(|channel| channel["workspace"]["id"] == workspace["id"]));
        }
        everybody.sort();
        everybody.dedup();
        assert_eq!(everybody.len(), 200);
    }
}

#[tokio::test]
async fn channels_and_workspaces_follow_the_same_rules() {
    let client = start(Simulator::builder().members(10)).await;
    for path in [CHANNELS, WORKSPACES] {
        let whole = client.page(path, ACCOUNT, "").await;
        let listed = records(std::slice::from_ref(&whole));
        assert_eq!(records(&client.walk(path, ACCOUNT, "limit=1").await), listed);
        let keyed = client.page(path, ACCOUNT, "truto_key_by=id&truto_ignore_remote_data=true").await;
        assert_eq!(keyed["result"].as_object().expect("an object").keys().cloned().collect::<Vec<_>>(), ids(&listed));
        assert!(keyed["result"].as_object().expect("an object").values().all(|r| r.get("remote_data").is_none()));
        let name = path.rsplit('/').next().expect("a name");
        let resource = pagemill_core::Resource::builtin(&format!("instant-messaging/{name}")).expect("built in");
        for record in &listed {
            let record: Vec<_> = record.as_object().expect("an object").keys().cloned().collect();
            assert_eq!(record, resource.fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>());
        }
    }
    let channels = records(&[client.page(CHANNELS, ACCOUNT, "").await]);
    let path = format!("{CHANNELS}/{}", channels[2]["id"].as_str().expect("an id"));
    assert_eq!(client.page(&path, ACCOUNT, "").await, channels[2]);
    assert_eq!(client.get(&format!("{CHANNELS}/C0"), ACCOUNT, "").await.0, 404);
}

#[tokio::test]
async fn raw_and_debug_answers_have_envelopes_of_their_own() {
    let client = start(Simulator::builder().members(30).profile(Profile::clean())).await;
    let raw = client.page(MEMBERS, ACCOUNT, "truto_response_format=raw&limit=10").await;
    assert_eq!((&raw["ok"], raw["members"].as_array().map(Vec::len)), (&json!(true), Some(10)));
    assert!(raw["response_metadata"]["next_cursor"].as_str().is_some_and(|cursor| !cursor.is_empty()));
    let workspace = records(&[client.page(WORKSPACES, TEAMS_ACCOUNT, "is_member=true").await])[0]["id"].clone();
    let filter = format!("workspace[id]={}", workspace.as_str().expect("an id"));
    let raw = client.page(MEMBERS, TEAMS_ACCOUNT, &format!("truto_response_format=raw&limit=1&{filter}")).await;
    assert!(raw["value"][0]["userId"].is_string() && raw["@odata.nextLink"].is_string());
    let unified = client.page(MEMBERS, ACCOUNT, "").await;
    assert_eq!(client.page(MEMBERS, ACCOUNT, "truto_response_format=normalized").await, unified);
    let debug = client.page(MEMBERS, ACCOUNT, "truto_response_format=debug").await;
    assert_eq!(debug["result"], unified["result"]);
    assert_eq!(debug["debug"]["list"]["resultCount"], 30);
}

#[tokio::test]
async fn a_rate_is_held_and_said() {
    let millis = Arc::new(AtomicU64::new(0));
    let clock = millis.clone();
    let rate = Rate { requests: 2, window: Duration::from_secs(10) };
    let builder = Simulator::builder().members(5).account_rate(rate);
    let client = start(builder.clock(move || Duration::from_millis(clock.load(SeqCst)))).await;
    let ask = async || {
        let response = client.send(MEMBERS, &format!("integrated_account_id={ACCOUNT}")).await;
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        let said = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"].map(header);
        (response.status().as_u16(), said.map(Option::unwrap_or_default), response.bytes().await.expect("a body"))
    };
    let said = |said: [&str; 4]| said.map(str::to_owned);
    let first = ask().await;
    assert_eq!((first.0, first.1), (200, said(["2;w=10", "1", "10", ""])));
    millis.store(2_500, SeqCst);
    let second = ask().await;
    assert_eq!((second.0, second.1), (200, said(["2;w=10", "0", "8", ""])));
    let third = ask().await;
    assert_eq!((third.0, third.1), (429, said(["2;w=10", "0", "8", "8"])));
    let body: Value = serde_json::from_slice(&third.2).expect("JSON");
    assert!(body["truto_error_insight"]["rate_limit_error"]["description"].is_string());
    millis.store(10_000, SeqCst);
    assert_eq!(ask().await.0, 200);
    assert_eq!(client.simulator.served(), Served { requests: 4, refused: 1, pages: 3, records: 15 });
}

#[tokio::test]
async fn a_simulator_stops_when_told_and_when_dropped() {
    let http = reqwest::Client::new();
    let simulator = Simulator::builder().start().await.expect("starts");
    let address = simulator.address();
    http.get(simulator.url()).send().await.expect("answers");
    simulator.shutdown().await;
    assert!(std::net::TcpListener::bind(address).is_ok(), "the port is free again");

    let simulator = Simulator::builder().start().await.expect("starts");
    let address = simulator.address();
    drop(simulator);
    let freed = async {
        while std::net::TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("a dropped simulator lets go of its port");
}

#[tokio::test]
async fn any_number_of_members_is_there_without_being_held() {
    let client = start(Simulator::builder().members(u64::MAX).seed(4)).await;
    let page = client.page(MEMBERS, ACCOUNT, "limit=3").await;
    assert_eq!(records(std::slice::from_ref(&page)), all(4, 3));
    let far = members_page(4, MAX_MEMBERS - 2..MAX_MEMBERS, &PageOptions::default());
    let far = records(&[serde_json::from_slice(&far).expect("a page")]);
    for (id, expected) in ids(&far).iter().zip(&far) {
        assert_eq!(&client.page(&format!("{MEMBERS}/{id}"), ACCOUNT, "").await, expected);
    }
}

#[tokio::test]
async fn the_cursor_can_come_first() {
    let client = start(Simulator::builder().members(5).cursor_first(true)).await;
    let body =
        client.send(MEMBERS, &format!("integrated_account_id={ACCOUNT}&limit=2")).await.text().await.expect("text");
    assert!(body.starts_with("{\"next_cursor\":\""), "{}", &body[..40]);
}
