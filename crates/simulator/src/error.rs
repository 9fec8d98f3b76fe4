//! Refusals, in the body that the API documents.

use serde_json::{Map, Value, json};

/// An answer that is no success: `{"statusCode", "error", "message", …}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    message: String,
    /// What the body says beyond the three members that it always has.
    more: Option<Box<Map<String, Value>>>,
}

impl ApiError {
    /// A refusal with any status.
    pub(crate) fn of(status: u16, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), more: None }
    }

    fn with(self, name: &str, value: Value) -> Self {
        let mut more = self.more.unwrap_or_default();
        more.insert(name.to_owned(), value);
        Self { more: Some(more), ..self }
    }

    fn with_insight(self, name: &str, description: &str, value: Value) -> Self {
        self.with("truto_error_insight", json!({name: {"description": description, "value": value}}))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// Parameters without which the provider cannot be asked.
    pub(crate) fn missing(names: &[&str]) -> Self {
        let list = names.join(", ");
        Self::new(400, format!("Missing required query parameters: {list}")).with_insight(
            "missing_required_query_parameters",
            &format!("This account's integration needs these query parameters: {list}."),
            json!(names),
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Invalid or missing API token")
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(404, what)
    }

    /// The provider knows nothing of the kind.
    pub(crate) fn remote_not_found(code: &str) -> Self {
        Self::new(404, code)
            .with("truto_is_remote_error", true.into())
            .with("raw_response", json!({"ok": false, "error": code}))
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "Method not allowed")
    }

    /// Too many requests; `retry_after` is in seconds.
    pub(crate) fn too_many_requests(retry_after: u64) -> Self {
        Self::new(429, "Too many requests").with_insight(
            "rate_limit_error",
            &format!("The rate limit was reached. Try again in {retry_after} s."),
            json!({"retry_after": retry_after}),
        )
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("statusCode".into(), self.status.into());
        body.insert("error".into(), reason(self.status).into());
        body.insert("message".into(), self.message.clone().into());
        body.extend(self.more.iter().flat_map(|more| more.as_ref().clone()));
        Value::Object(body).to_string().into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        422 => "Unprocessable Entity",
        425 => "Too Early",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_documented_members() {
        let body = |error: ApiError| serde_json::from_slice::<Value>(&error.body()).expect("a body is JSON");
        assert_eq!(
            body(ApiError::unauthorized()),
            json!({"statusCode": 401, "error": "Unauthorized", "message": "Invalid or missing API token"})
        );
        let missing = body(ApiError::missing(&["channel"]));
        assert_eq!(missing["truto_error_insight"]["missing_required_query_parameters"]["value"], json!(["channel"]));
        let remote = body(ApiError::remote_not_found("channel_not_found"));
        assert_eq!(remote["truto_is_remote_error"], json!(true));
        assert_eq!(remote["raw_response"]["error"], json!("channel_not_found"));
    }
}
