//! Answers for those who must not see what hooks, checks and services said: it is left out of every text.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::api::{Problem, ProblemKind};
use crate::base::without_quotations;

/// The same answer without quotations. Streams are left as they are: whoever makes one sees to it.
pub(super) async fn veiled(response: Response) -> Response {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !matches!(content_type, Some("application/json" | "application/problem+json")) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It was made as a whole, by this process.
    let Ok(body) = body.collect().await else {
        return Problem::new(ProblemKind::Internal, "the answer broke off").into_response();
    };
    let body = without(body.to_bytes());
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

fn without(json: Bytes) -> Bytes {
    let is_clear = std::str::from_utf8(&json).is_ok_and(|text| text == without_quotations(text));
    if is_clear {
        return json;
    }
    // What is not JSON is not shown: it cannot be told what is in there.
    let mut value = serde_json::from_slice(&json).unwrap_or(Value::Null);
    veil(&mut value);
    value.to_string().into()
}

fn veil(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_quotations(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(veil),
        Value::Object(fields) => fields.values_mut().for_each(veil),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn quotations_are_left_out_wherever_they_are() {
        let shown = |json: &'static str| String::from_utf8(without(json.into()).to_vec()).unwrap();
        let members = r#"{"members":[{"why":"exited with 2: “pw=\"1\"”","pid":18446744073709551615}],"ratio":0.1}"#;
        let expected = r#"{"members":[{"why":"exited with 2: “...”","pid":18446744073709551615}],"ratio":0.1}"#;
        assert_eq!(shown(members), expected);
        assert_eq!(shown(r#"{"a":[1,"b"]}"#), r#"{"a":[1,"b"]}"#);
        assert_eq!(shown("“no JSON"), "null");
    }
}
