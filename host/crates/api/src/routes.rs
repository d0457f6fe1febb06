//! The route table, and the way of a request through it. One resource per file.

mod catalog;
mod cluster;
mod entrance;
mod health;
mod histogram;
mod ingest;
mod node;
mod oklog;
mod page;
mod pass_on;
mod query;
mod tail;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{self, State};
use axum::routing::any;
use futures_util::future::BoxFuture;
use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use weir_record::limits;

use crate::access::{Caller, Scope};
use crate::error::{ApiError, ErrorKind};
use crate::params::{Params, nearest};
use crate::server::{self, Response, Shared};

/// A request whose body has not been read.
pub(crate) struct Request {
    pub(crate) head: Parts,
    pub(crate) body: Body,
    /// Who asks. Nothing is read or written but through it.
    pub(crate) caller: Caller,
}

impl Request {
    /// The parameters of the URL.
    fn params(&self) -> Result<Params, ApiError> {
        Params::parse(self.head.uri.query().unwrap_or_default())
    }

    /// Refuses parameters on a route that takes none.
    fn no_params(&self) -> Result<(), ApiError> {
        self.params()?.finish(&[])
    }

    /// The content type in lower case, without its parameters; empty when there is none.
    fn content_type(&self) -> String {
        let value = self.head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

type Answer = BoxFuture<'static, Result<Response, ApiError>>;
type Handler = fn(Arc<Shared>, Request) -> Answer;
/// What may be done at a path, by whom, and how.
type Act = (Method, Needs, Handler);

/// What a request must show to be answered, where tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: probes, and the files of the page.
    Nothing,
    /// A token with one of these scopes.
    Any(&'static [Scope]),
    /// The cluster key's signature, whether tokens are asked for or not.
    Signature,
}

const INGEST: Needs = Needs::Any(&[Scope::Ingest]);
const QUERY: Needs = Needs::Any(&[Scope::Query]);
const TAIL: Needs = Needs::Any(&[Scope::Tail]);
const FILTER: Needs = Needs::Any(&[Scope::Filter]);
const ADMIN: Needs = Needs::Any(&[Scope::Admin]);
const METRICS: Needs = Needs::Any(&[Scope::Metrics, Scope::Admin]);
/// Who is there: whoever asks, follows, measures or operates may know.
const MEMBERS: Needs = Needs::Any(&[Scope::Tail, Scope::Metrics, Scope::Admin, Scope::Node, Scope::Query]);

/// An answer that needs no waiting.
fn done(answer: Result<Response, ApiError>) -> Answer {
    Box::pin(std::future::ready(answer))
}

/// How large a body a route takes.
#[derive(Clone, Copy)]
enum BodySize {
    /// A query, or none at all: [`limits::HTTP_SMALL_BODY_BYTES_MAX`].
    Small,
    /// Records: what the options of the server say.
    Records,
    /// What another node asks: [`limits::NODE_REQUEST_BYTES_MAX`].
    Node,
    /// A component: [`limits::PLUGIN_FILE_BYTES_MAX`].
    Component,
}

impl BodySize {
    fn bytes_max(self, shared: &Shared) -> usize {
        match self {
            BodySize::Small => limits::HTTP_SMALL_BODY_BYTES_MAX,
            BodySize::Records => shared.options.body_bytes_max,
            BodySize::Node => limits::NODE_REQUEST_BYTES_MAX,
            BodySize::Component => limits::PLUGIN_FILE_BYTES_MAX,
        }
    }
}

/// One path and what may be done there. `HEAD` goes wherever `GET` does.
struct Route {
    path: &'static str,
    body: BodySize,
    /// It is about the records of all nodes: one that does not know what they hold passes it on.
    is_of_all: bool,
    methods: &'static [Act],
}

const fn route(path: &'static str, methods: &'static [Act]) -> Route {
    Route { path, body: BodySize::Small, is_of_all: false, methods }
}

const fn of_all(path: &'static str, methods: &'static [Act]) -> Route {
    Route { path, body: BodySize::Small, is_of_all: true, methods }
}

const fn node(path: &'static str, methods: &'static [Act]) -> Route {
    Route { path, body: BodySize::Node, is_of_all: false, methods }
}

static ROUTES: &[Route] = &[
    Route {
        path: "/api/v1/ingest",
        body: BodySize::Records,
        is_of_all: false,
        methods: &[(Method::POST, INGEST, |shared, request| Box::pin(ingest::post(shared, request)))],
    },
    of_all(
        "/api/v1/query",
        &[
            (Method::GET, QUERY, |shared, request| Box::pin(query::get(shared, request))),
            (Method::POST, QUERY, |shared, request| Box::pin(query::post(shared, request))),
        ],
    ),
    of_all(
        "/api/v1/histogram",
        &[(Method::GET, QUERY, |shared, request| Box::pin(histogram::get(shared, request)))],
    ),
    route("/api/v1/tail", &[(Method::GET, TAIL, |shared, request| Box::pin(tail::get(shared, request)))]),
    of_all(
        "/api/v1/streams",
        &[(Method::GET, QUERY, |shared, request| Box::pin(catalog::streams(shared, request)))],
    ),
    Route {
        path: "/api/v1/filters",
        body: BodySize::Component,
        // Where the queries go that will name it.
        is_of_all: true,
        methods: &[(Method::POST, FILTER, |shared, request| Box::pin(catalog::add_filter(shared, request)))],
    },
    route(
        "/api/v1/plugins",
        &[(Method::GET, ADMIN, |shared, request| Box::pin(catalog::plugins(shared, request)))],
    ),
    route(
        "/api/v1/cluster",
        &[(Method::GET, MEMBERS, |shared, request| done(cluster::members(&shared, &request)))],
    ),
    route(
        "/api/v1/cluster/forget",
        &[(Method::POST, ADMIN, |shared, request| done(cluster::forget(&shared, &request)))],
    ),
    route(
        "/api/v1/cluster/drain",
        &[(Method::POST, ADMIN, |shared, request| Box::pin(cluster::drain(shared, request)))],
    ),
    route(
        "/api/v1/cluster/repair",
        &[(Method::POST, ADMIN, |shared, request| Box::pin(cluster::repair(shared, request)))],
    ),
    route(
        "/api/v1/cluster/rebalance",
        &[(Method::POST, ADMIN, |shared, request| Box::pin(cluster::rebalance(shared, request)))],
    ),
    node(
        "/api/v1/node/streams",
        &[(Method::GET, Needs::Signature, |shared, request| Box::pin(node::streams(shared, request)))],
    ),
    node(
        "/api/v1/node/info",
        &[(Method::GET, Needs::Signature, |shared, request| Box::pin(node::info(shared, request)))],
    ),
    node(
        "/api/v1/node/changes",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::changes(shared, request)))],
    ),
    node(
        "/api/v1/node/names",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::names(shared, request)))],
    ),
    node(
        "/api/v1/node/origin",
        &[(Method::GET, Needs::Signature, |shared, request| Box::pin(node::origin(shared, request)))],
    ),
    node(
        "/api/v1/node/confirm",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::confirm(shared, request)))],
    ),
    node(
        "/api/v1/node/holds",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::holds(shared, request)))],
    ),
    node(
        "/api/v1/node/job",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::job(shared, request)))],
    ),
    node(
        "/api/v1/node/failed",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::failed(shared, request)))],
    ),
    node(
        "/api/v1/node/plan",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::plan(shared, request)))],
    ),
    node(
        "/api/v1/node/search",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::search(shared, request)))],
    ),
    node(
        "/api/v1/node/release",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::release(shared, request)))],
    ),
    Route {
        path: "/api/v1/node/filter",
        body: BodySize::Component,
        is_of_all: false,
        methods: &[(Method::POST, Needs::Signature, |shared, request| {
            Box::pin(node::offer(shared, request))
        })],
    },
    node(
        "/api/v1/node/tail",
        &[(Method::POST, Needs::Signature, |shared, request| Box::pin(node::tail(shared, request)))],
    ),
    route("/metrics", &[(Method::GET, METRICS, |shared, _| done(Ok(health::metrics(&shared))))]),
    route("/-/healthy", &[(Method::GET, Needs::Nothing, |_, _| done(Ok(health::healthy())))]),
    route("/-/ready", &[(Method::GET, Needs::Nothing, |shared, _| done(health::ready(&shared)))]),
    route("/-/reload", &[(Method::POST, ADMIN, |shared, request| Box::pin(health::reload(shared, request)))]),
    route("/", &[(Method::GET, Needs::Nothing, |_, _| done(Ok(page::to_page())))]),
    route("/ui", &[(Method::GET, Needs::Nothing, |_, _| done(Ok(page::to_page())))]),
    route("/ui/", PAGE),
    route("/ui/page.css", PAGE),
    route("/ui/page.js", PAGE),
    route("/ui/icon.svg", PAGE),
];

const PAGE: &[Act] = &[(Method::GET, Needs::Nothing, |_, request| done(page::get(&request)))];

/// All routes: ours, then those of OK Log.
fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(oklog::ROUTES)
}

/// Every path with the methods it takes, for documents and for tests that walk them all.
pub fn routes() -> impl Iterator<Item = (&'static str, Vec<Method>)> {
    all().map(|route| (route.path, route.allowed()))
}

/// Every path and method with what a request there must show.
pub fn guards() -> impl Iterator<Item = (&'static str, Method, Needs)> {
    let needs = |route: &'static Route| {
        route
            .allowed()
            .into_iter()
            .filter_map(|method| Some((route.path, method.clone(), route.act(&method)?.1)))
    };
    all().flat_map(needs)
}

impl Route {
    fn allowed(&self) -> Vec<Method> {
        let mut allowed: Vec<Method> = self.methods.iter().map(|(method, ..)| method.clone()).collect();
        if allowed.contains(&Method::GET) {
            allowed.push(Method::HEAD);
        }
        allowed
    }

    fn act(&self, method: &Method) -> Option<&'static Act> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.methods.iter().find(|(other, ..)| other == method)
    }

    async fn answer(&self, shared: Arc<Shared>, request: Request) -> Response {
        let head = &request.head;
        let Some((_, needs, handler)) = self.act(&head.method) else {
            let allowed: Vec<String> = self.allowed().iter().map(ToString::to_string).collect();
            let allowed = allowed.join(", ");
            let error = ApiError::new(
                ErrorKind::MethodNotAllowed,
                "method_not_allowed",
                format!("{} does not take {}", self.path, shorten(head.method.as_str())),
            )
            .hint(format!("use {allowed}"));
            return failed(self.path, &error, Some(&allowed));
        };
        let body_bytes_max = self.body.bytes_max(&shared);
        let checked = same_origin(head).and_then(|()| server::check_length(&head.headers, body_bytes_max));
        let entered = match checked {
            Ok(()) => entrance::enter(&shared, request, *needs, self.is_of_all, body_bytes_max).await,
            Err(error) => Err(error),
        };
        let answered = match entered {
            Ok(request) => {
                let caller = request.caller.clone();
                let others = self.is_of_all.then(|| shared.backend.passes_on()).flatten();
                let answered = match others {
                    Some(others) => pass_on::pass_on(&shared, &others, request, body_bytes_max).await,
                    None => handler(shared, request).await,
                };
                answered.map(|response| server::leased(response, caller))
            }
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| {
            // Only a defect is news: a node that is full, busy or stopping says so once, not at every request.
            if error.kind() == ErrorKind::Internal {
                tracing::warn!(route = self.path, code = error.code(), %error, "request failed");
            } else {
                tracing::debug!(route = self.path, code = error.code(), %error, "request refused");
            }
            failed(self.path, &error, None)
        })
    }
}

/// The table as a router. A route takes every method and sorts them out itself: its refusals have the
/// envelope of all errors, and are counted.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let router = all().fold(Router::new(), |router, route| {
        let handler = move |State(shared), request| answer(shared, Some(route), request);
        router.route(route.path, any(handler))
    });
    router.fallback(|State(shared), request| answer(shared, None, request)).with_state(shared)
}

/// Answers one request, of a route or of none.
async fn answer(shared: Arc<Shared>, route: Option<&'static Route>, request: extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let of_oklog = oklog::owns(head.uri.path());
    let mut response = match route {
        Some(route) => route.answer(shared.clone(), Request { head, body, caller: Caller::default() }).await,
        None => failed(head.uri.path(), &unknown(head.uri.path()), None),
    };
    server::secure(&mut response);
    if of_oklog {
        oklog::dress(&mut response);
    }
    shared.counters.count(route.map_or("other", |route| route.path), response.status().as_u16());
    response
}

/// The answer that an error is, in the words of the clients that ask for `path`.
fn failed(path: &str, error: &ApiError, allow: Option<&str>) -> Response {
    if oklog::owns(path) { oklog::failed(error, allow) } else { server::failed(error, allow) }
}

fn unknown(path: &str) -> ApiError {
    if oklog::owns(path) {
        return oklog::unknown();
    }
    let shown = shorten(path);
    let paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    let hint = match nearest(&shown, &paths) {
        Some(near) => format!("did you mean {near}?"),
        None => "the API lives under /api/v1, the page at /ui/".into(),
    };
    ApiError::new(ErrorKind::NotFound, "not_found", format!("there is no {shown}")).hint(hint)
}

/// A path or method as an error may repeat it: it comes from anywhere.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Refuses what a page of another site makes a browser send. Without this check any page could write
/// records to a node on the visitor's own machine: a form post needs no leave of CORS.
fn same_origin(head: &Parts) -> Result<(), ApiError> {
    let path = head.uri.path();
    let site = head.headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    let ours = matches!(site, None | Some(b"same-origin" | b"none"));
    // Those of OK Log read and change as much as ours do.
    let guarded = path.starts_with("/api/") || path.starts_with("/-/") || oklog::owns(path);
    if ours || !guarded {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::Forbidden, "cross_site", "a page of another site may not ask this node")
        .hint("ask from the node's own page, or from outside a browser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_stands_once_and_every_file_of_the_page_has_a_route() {
        let mut paths: Vec<_> = routes().map(|(path, _)| path).collect();
        assert!(page::paths().all(|path| paths.contains(&path)));
        let all = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }

    #[test]
    fn near_misses_are_told_what_was_meant() {
        for (path, hint) in [
            ("/api/v1/query/", "did you mean /api/v1/query?"),
            ("/api/v1/injest", "did you mean /api/v1/ingest?"),
            ("/wp-login.php", "the API lives under /api/v1, the page at /ui/"),
        ] {
            assert_eq!(unknown(path).envelope().error.hint.as_deref(), Some(hint), "{path}");
        }
    }
}
