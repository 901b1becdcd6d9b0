//! The gate before every request: is the connection fit for it, is the `Host` ours, is the
//! `Origin` ours, who calls. What a caller may do is asked by each route ([`Caller::need`]).

use crate::access::{Denied, Grant, Role};
use crate::connection::Link;
use crate::detour;
use crate::error::ApiError;
use crate::host::{self, Literals};
use crate::shared::Shared;
use axum::extract::FromRequestParts;
use http_body_util::Full;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Uri};
use std::net::{IpAddr, SocketAddr};

/// How a caller proved its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Not at all.
    None,
    /// By calling from this machine, where that is enough to look.
    Loopback,
    /// By a token in `Authorization`.
    Token,
    /// By a session's cookie (its value).
    Session(String),
    /// By a certificate that the picture knows.
    Node,
}

/// Who calls, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) role: Option<Role>,
    /// Token name, node id, `loopback` or `nobody`.
    pub(crate) who: String,
    pub(crate) proof: Proof,
    pub(crate) remote: SocketAddr,
    /// From this machine, and not through a proxy on it.
    pub(crate) loopback: bool,
    pub(crate) tls: bool,
}

impl Caller {
    fn nobody(link: &Link) -> Self {
        Self {
            role: None,
            who: "nobody".to_owned(),
            proof: Proof::None,
            remote: link.remote,
            loopback: false,
            tls: link.tls,
        }
    }

    /// Fails unless another node asks, by its certificate; `help` says where others may.
    pub(crate) fn need_node(&self, help: &'static str) -> Result<(), ApiError> {
        if self.proof == Proof::Node {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "node",
            "only nodes of the grid may do so",
            help,
        ))
    }

    /// Fails unless the caller has this role or a higher one.
    pub(crate) fn need(&self, role: Role) -> Result<(), ApiError> {
        match self.role {
            Some(held) if held >= role => Ok(()),
            Some(held) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "role",
                format!("this needs the role {role}, {} is {held}", self.who),
                format!("use a token with the role {role} (andon token create --role {role})"),
            )),
            None => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "login",
                "this needs a token",
                "send Authorization: Bearer <token> (andon token create), or log in at /login",
            )),
        }
    }

    /// Fails unless the caller may act on the grid: an operator, and in a demo anybody at this
    /// machine.
    pub(crate) fn need_to_act(&self, shared: &Shared) -> Result<(), ApiError> {
        if shared.config.demo_control.is_some() && self.loopback {
            return self.need(Role::Viewer);
        }
        self.need(Role::Operator)
    }

    /// Fails unless the caller may send events: a token made for it, an operator, and where it
    /// is configured so anybody at this machine.
    pub(crate) fn need_to_send(&self, loopback_may: bool) -> Result<(), ApiError> {
        if self.role == Some(Role::Ingest) || (loopback_may && self.loopback) {
            return Ok(());
        }
        self.need(Role::Operator).map_err(|error| ApiError {
            help: "use a token with the role ingest (andon token create --role ingest)".into(),
            ..error
        })
    }

    /// Name and address, as they are recorded.
    pub(crate) fn named(&self) -> String {
        format!("{}@{}", self.who, self.remote.ip().to_canonical())
    }

    /// Whether the caller may see the picture.
    pub(crate) fn may_view(&self) -> bool {
        self.role.is_some_and(|role| role >= Role::Viewer)
    }

    /// Whether the caller is known, and may hold a connection that others have to wait for.
    pub(crate) fn is_known(&self) -> bool {
        self.role.is_some() || self.loopback
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| {
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "gate",
                "no caller is known",
                "please report this",
            )
        })
    }
}

/// What may be asked over plain HTTP from another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Openness {
    /// Liveness: says nothing of the grid.
    Health,
    /// GridBug's calls, whose protocol is plain.
    GridBug,
    /// Everything else.
    Closed,
}

/// GridBug's calls.
pub(crate) const GRIDBUG_PATHS: [&str; 9] = [
    "/ping",
    "/bugs",
    "/gridbugs.json",
    "/graph",
    "/raw",
    "/stats",
    "/time",
    "/text",
    "/post",
];

pub(crate) fn openness(path: &str, gridbug: bool) -> Openness {
    match path {
        "/healthz" | "/readyz" => Openness::Health,
        path if gridbug && GRIDBUG_PATHS.contains(&path) => Openness::GridBug,
        _ => Openness::Closed,
    }
}

/// Judges a request before anything of it is done.
pub(crate) fn admit(
    shared: &Shared,
    link: &Link,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    let openness = openness(uri.path(), shared.gridbug.is_some());
    let local = link.remote.ip().to_canonical().is_loopback();
    if !link.tls && !local && openness == Openness::Closed {
        return Err(ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "https",
            "plain HTTP is for clients on this machine alone",
            format!("use https:// on the same port ({})", link.local_port),
        ));
    }
    if openness == Openness::Health {
        // Says nothing of the grid, so nobody need prove anything, nor fail to.
        return Ok(Caller::nobody(link));
    }
    check_host(shared, link, openness, uri, headers)?;
    check_origin(link, method, uri, headers)?;
    let proxied = ["x-forwarded-for", "forwarded", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    identify(shared, link, headers, local && !proxied)
}

fn check_host(
    shared: &Shared,
    link: &Link,
    openness: Openness,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let literals = if link.tls || openness == Openness::GridBug {
        Literals::Any
    } else {
        Literals::Loopback
    };
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let named = first.and_then(|host| host.to_str().ok());
    // An absolute request line names its host a second time; both must be ours.
    let named = named
        .filter(|_| second.is_none())
        .into_iter()
        .chain(uri.authority().map(|authority| authority.as_str()));
    let mut seen = false;
    for authority in named {
        seen = true;
        let ours = host::is_ours(
            authority,
            literals,
            &shared.config.allowed_hosts,
            |address| shared.is_own(address),
        );
        if !ours {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "foreign_host",
                "this node does not go by the name in the Host header",
                "use its address, or add the name to allowed_hosts in its configuration",
            ));
        }
    }
    if seen && second.is_none() {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "the request must have one Host header",
        "use an HTTP/1.1 client",
    ))
}

/// A page of another origin may not act here, nor watch; a program sends no `Origin`.
fn check_origin(
    link: &Link,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if reads && !uri.path().ends_with("/stream") {
        return Ok(());
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let foreign_origin = headers.get(header::ORIGIN).is_some_and(|origin| {
        !origin
            .to_str()
            .is_ok_and(|origin| host::same_origin(origin, host, link.tls))
    });
    let cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    if foreign_origin || cross_site {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "a page of another origin may not do this",
            "use the console that this node serves",
        ));
    }
    Ok(())
}

fn identify(
    shared: &Shared,
    link: &Link,
    headers: &HeaderMap,
    loopback: bool,
) -> Result<Caller, ApiError> {
    let caller = |role, who: String, proof| Caller {
        role,
        who,
        proof,
        remote: link.remote,
        loopback,
        tls: link.tls,
    };
    let granted = |grant: Grant, proof| caller(Some(grant.role), grant.who, proof);
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let token = authorization.to_str().ok().and_then(bearer);
        return match shared
            .access
            .bearer(token.unwrap_or_default(), link.remote.ip())
        {
            Ok(grant) => Ok(granted(grant, Proof::Token)),
            Err(denied) => Err(wrong_credential(shared, denied)),
        };
    }
    if let Some(cookie) = cookie(headers, &shared.cookie_name)
        && let Some(grant) = shared.access.session(cookie)
    {
        return Ok(granted(grant, Proof::Session(cookie.to_owned())));
    }
    if let Some(node) = link
        .certificate
        .and_then(|fingerprint| shared.node_of(&fingerprint))
    {
        return Ok(caller(Some(Role::Viewer), node, Proof::Node));
    }
    if loopback && shared.config.loopback_viewer {
        return Ok(caller(
            Some(Role::Viewer),
            "loopback".to_owned(),
            Proof::Loopback,
        ));
    }
    Ok(caller(None, "nobody".to_owned(), Proof::None))
}

/// What somebody with a wrong credential is told; counted.
pub(crate) fn wrong_credential(shared: &Shared, denied: Denied) -> ApiError {
    match denied {
        Denied::Wrong => {
            shared.counters.logins_failed.count();
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "this token is not valid here: unknown, revoked, used up or expired",
                "andon token list shows the valid ones, andon token create makes another",
            )
        }
        Denied::TooMany => {
            shared.counters.logins_throttled.count();
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "throttled",
                "too many wrong tokens came from this address",
                "wait a minute, then use a valid one",
            )
        }
    }
}

/// For `crate::fuzz`.
pub(crate) fn fuzz(headers: &HeaderMap, authorization: &header::HeaderValue) {
    let _ = cookie(headers, "andon");
    let _ = authorization.to_str().ok().and_then(bearer);
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

impl Shared {
    /// Whether an address is one of this node's, as the picture has them.
    fn is_own(&self, address: IpAddr) -> bool {
        let view = self.view.borrow();
        view.nodes
            .iter()
            .filter(|node| node.id == view.me)
            .any(|node| {
                node.addresses
                    .iter()
                    .filter_map(|own| own.parse::<SocketAddr>().ok())
                    .any(|own| own.ip() == address)
            })
    }

    /// The node with this certificate, if the picture has it.
    fn node_of(&self, fingerprint: &[u8; 32]) -> Option<String> {
        let fingerprint = crate::base32::hex(fingerprint);
        let view = self.view.borrow();
        view.nodes
            .iter()
            .find(|node| {
                node.fingerprint
                    .as_ref()
                    .is_some_and(|known| known.eq_ignore_ascii_case(&fingerprint))
            })
            .map(|node| node.id.clone())
    }
}

/// An error as a response that says nothing to caches and frames. Whoever came over plain HTTP
/// with a browser or curl is shown the way in the form that suits them.
pub(crate) fn refuse(
    error: &ApiError,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Full<bytes::Bytes>> {
    let mut response = match error.status {
        StatusCode::UPGRADE_REQUIRED => detour::response(error, uri, headers),
        _ => error.response(),
    };
    if error.status == StatusCode::UPGRADE_REQUIRED {
        // RFC 9110 §15.5.22 wants the protocol named.
        response.headers_mut().insert(
            header::UPGRADE,
            header::HeaderValue::from_static("TLS/1.2, HTTP/1.1"),
        );
        response.headers_mut().insert(
            header::CONNECTION,
            header::HeaderValue::from_static("close"),
        );
    }
    response
}
