//! What an error body says: `statusCode`, `error`, `message`, `truto_error_insight`.
//!
//! Everything in it is remote text: it is escaped, cut, and rid of secrets before anyone sees it.

use serde_json::Value;

use crate::escape::{SHOWN, Secrets, escape};

/// The most bytes of a body that are read for its message.
pub(crate) const MOST: usize = 64 << 10;

/// An error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What happened, in the server's words; empty when it said nothing.
    pub(crate) message: String,
    /// What to do about it, in the server's words.
    pub(crate) advice: Option<String>,
    /// True when the provider failed, not the API.
    pub(crate) remote: bool,
}

/// Reads an error body: JSON as documented, or anything else, of which the beginning is shown.
pub(crate) fn read(body: &[u8], secrets: &Secrets) -> Problem {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(body)) => {
            let word = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let message = match (word("message"), word("error")) {
                (Some(message), _) => message,
                (None, Some(error)) => error,
                (None, None) => "",
            };
            Problem {
                message: shown(message, secrets),
                advice: body.get("truto_error_insight").and_then(|insight| advice(insight, secrets)),
                remote: body.get("truto_is_remote_error") == Some(&Value::Bool(true)),
            }
        }
        _ => Problem { message: plain(body, secrets), ..Problem::default() },
    }
}

/// The beginning of a body that may be anything.
pub(crate) fn plain(body: &[u8], secrets: &Secrets) -> String {
    shown(String::from_utf8_lossy(body).trim(), secrets)
}

/// What an object with a status of 200 says, when it is an error body after all.
pub(crate) fn disguised(body: &[u8], secrets: &Secrets) -> Option<Problem> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let status = value.get("statusCode")?.as_u64()?;
    if status < 400 || (value.get("error").is_none() && value.get("message").is_none()) {
        return None;
    }
    let mut problem = read(body, secrets);
    problem.message = format!("{status} {}", problem.message).trim_end().to_owned();
    Some(problem)
}

fn shown(text: &str, secrets: &Secrets) -> String {
    escape(&secrets.hide(text), SHOWN)
}

/// `missing_required_query_parameters: {description, value}` and its kin, as one line.
fn advice(insight: &Value, secrets: &Secrets) -> Option<String> {
    let mut parts = Vec::new();
    // What is only informational comes last; eight of them are more than are documented.
    let (informational, real): (Vec<_>, Vec<_>) =
        insight.as_object()?.iter().take(8).partition(|(name, _)| name.starts_with("conditionally_"));
    for (name, item) in real.into_iter().chain(informational) {
        let mut part = name.replace('_', " ");
        if let Some(description) = item.get("description").and_then(Value::as_str).filter(|d| !d.is_empty()) {
            part = format!("{part}: {description}");
        }
        match item.get("value") {
            None | Some(Value::Null) => {}
            Some(value) => part = format!("{part} ({})", words(value)),
        }
        parts.push(shown(&part, secrets));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A list of strings as words, anything else as JSON.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_insight_becomes_advice() {
        let body = json!({"statusCode": 400, "error": "Bad Request", "message": "Missing parameters",
            "truto_error_insight": {
                "conditionally_required_query_parameters": {"description": "Maybe", "value": ["workspace"]},
                "missing_required_query_parameters": {"description": "Send these", "value": ["channel"]}}});
        let problem = read(body.to_string().as_bytes(), &Secrets::default());
        assert_eq!(problem.message, "Missing parameters");
        assert_eq!(
            problem.advice.as_deref(),
            Some(
                "missing required query parameters: Send these (channel); \
                 conditionally required query parameters: Maybe (workspace)"
            )
        );
        assert!(!problem.remote);
    }

    #[test]
    fn strange_bodies_are_shown_as_they_are() {
        let read = |text: &str| read(text.as_bytes(), &Secrets::default());
        assert_eq!(read("<html>\u{1b}[31m Bad gateway").message, "<html>\\u{1b}[31m Bad gateway");
        assert_eq!(read("").message, "");
        assert_eq!(read("{\"message\":\"\",\"error\":\"Nope\"}").message, "Nope");
        assert_eq!(read("{\"message\":7,\"truto_error_insight\":[1]}"), Problem::default());
        assert!(read("{\"truto_is_remote_error\":true}").remote);
        assert!(read(&format!("{{\"message\":\"{}\"}}", "x".repeat(5000))).message.chars().count() <= 201);
    }

    #[test]
    fn secrets_are_hidden_before_the_cut() {
        let mut secrets = Secrets::default();
        secrets.add("canary-token");
        let body = json!({"message": format!("{}canary-token", "x".repeat(195)),
            "truto_error_insight": {"remote_error": {"description": "canary-token", "value": {"t": "canary-token"}}}});
        let problem = read(body.to_string().as_bytes(), &secrets);
        assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
        assert!(!read(b"<p>canary-token", &secrets).message.contains("canary"));
    }

    #[test]
    fn an_error_in_a_200_is_told_from_a_record() {
        let secrets = Secrets::default();
        let body = br#"{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}"#;
        assert_eq!(disguised(body, &secrets).expect("an error").message, "401 Invalid token");
        assert!(disguised(br#"{"id":"1","message":"hi"}"#, &secrets).is_none());
        assert!(disguised(br#"{"statusCode":200,"message":"hi"}"#, &secrets).is_none());
        assert!(disguised(b"[1]", &secrets).is_none());
    }
}
