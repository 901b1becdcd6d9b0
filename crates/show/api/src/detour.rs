//! What somebody is shown who came over plain HTTP from another machine: the same address with
//! https. Browsers get a page with a link, curl a line, programs that want JSON the error.

use crate::error::ApiError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Response, StatusCode, Uri};

/// Longest address shown; a longer one leads to the front door.
const PATH_BYTES_MAX: usize = 200;

/// The answer to a request that must come over https.
pub(crate) fn response(error: &ApiError, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let accepts = |wanted: &str| {
        let mut accepted = headers.get_all(header::ACCEPT).iter();
        accepted.any(|value| value.to_str().is_ok_and(|value| value.contains(wanted)))
    };
    let there = there(uri, headers);
    let (media_type, body) = if accepts("text/html") {
        ("text/html; charset=utf-8", page(there.as_deref()))
    } else if accepts("application/json") {
        return error.response();
    } else {
        let there = there.unwrap_or_else(|| "https:// on the same port".to_owned());
        let words = format!(
            "{}.\nUse {there}\n(curl: add -k, or pin the certificate; a token is needed: andon token create)\n",
            error.message
        );
        ("text/plain; charset=utf-8", words)
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// The same address with https; `None` if the client does not say where it thinks it is.
fn there(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let host: Authority = host.parse().ok()?;
    // An authority may hold a user's name, and much else that means something in markup.
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if !host.as_str().chars().all(is_plain) {
        return None;
    }
    let path = uri.path();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | '/');
    let shown = path.len() <= PATH_BYTES_MAX && !path.contains("//") && path.chars().all(is_plain);
    Some(format!("https://{host}{}", if shown { path } else { "/" }))
}

/// A page without scripts or styles: the policy allows neither inline.
fn page(there: Option<&str>) -> String {
    let way = match there {
        Some(there) => format!("<p><a href=\"{there}\">{there}</a></p>"),
        None => "<p>Put https:// before the address, on the same port.</p>".to_owned(),
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Andon: use https</title>\
         <h1>Please use https</h1>\
         <p>Plain HTTP is for the machine that the node runs on. From elsewhere it is:</p>{way}\
         <p>The browser will warn once, since every node makes its own certificate. Compare its \
         SHA-256 fingerprint with the one in the node's panel, or in its log at the start.</p></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn check(accept: &str, host: &str, path: &str, media_type: &str, words: &str) {
        let error = ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "https",
            "plain HTTP is closed",
            "x",
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        headers.insert(
            header::HOST,
            HeaderValue::from_bytes(host.as_bytes()).unwrap(),
        );
        let response = response(&error, &path.parse().unwrap(), &headers);
        assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(response.headers()[header::CONTENT_TYPE], media_type);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains(words), "{accept} {host} {path}: {body}");
        assert!(
            !body.contains("<script") && !body.contains("onclick"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn everybody_is_shown_the_way_in_a_form_that_suits() {
        let html = "text/html; charset=utf-8";
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        let link = "<a href=\"https://web-1:8777/board\">";
        check(browser, "web-1:8777", "/board", html, link).await;
        check(
            browser,
            "[fd00::1]:8777",
            "/",
            html,
            "href=\"https://[fd00::1]:8777/\"",
        )
        .await;
        let text = "text/plain; charset=utf-8";
        check(
            "*/*",
            "10.0.0.1:8777",
            "/api/v1/picture",
            text,
            "Use https://10.0.0.1:8777/api/v1/picture\n",
        )
        .await;
        check(
            "application/json",
            "a",
            "/",
            "application/json",
            "\"code\":\"https\"",
        )
        .await;
        // What could mean something in markup, or lead elsewhere, is not repeated.
        for host in ["a\"><script>", "user@evil", "a/b", "a b", "x'onclick='"] {
            check(browser, host, "/", html, "Put https:// before").await;
        }
        for path in ["/a'onclick='", "//evil/", "/%22"] {
            check(browser, "a", path, html, "href=\"https://a/\"").await;
        }
    }
}
