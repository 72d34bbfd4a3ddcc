//! Pages of other controllers: those of this cluster may call, no others.

use super::Site;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};

const SISTER: &str = "https://10.0.0.1:7601";

fn asked(method: Method, path: &str, origin: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(header::ORIGIN, origin);
    request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "PATCH").body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn a_page_of_this_cluster_may_call() {
    let site = Site::new();
    let reply = site.send(asked(Method::OPTIONS, "/api/v1/hosts/h1", SISTER)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), SISTER);
    assert!(reply.header(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("if-match"));
    assert!(reply.header(header::ACCESS_CONTROL_ALLOW_METHODS).contains("PATCH"));
    assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "", "nothing rides on cookies");
    // Errors are readable too, or a page could not say why.
    let reply = site.send(asked(Method::GET, "/api/v1/hosts", SISTER)).await;
    reply.problem(401, "unauthenticated");
    assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), SISTER);
    assert!(reply.header(header::VARY).contains("origin"));
}

#[tokio::test]
async fn a_page_from_elsewhere_may_not() {
    let site = Site::new();
    for origin in
        ["https://10.0.0.2:7601", "http://10.0.0.1:7601", "null", "https://10.0.0.1:7601.example.org"]
    {
        let reply = site.send(asked(Method::OPTIONS, "/api/v1/hosts/h1", origin)).await;
        reply.problem(405, "method");
        assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "", "{origin}");
        let reply = site.send(asked(Method::GET, "/api/v1/hosts", origin)).await;
        assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "", "{origin}");
    }
}

#[tokio::test]
async fn a_page_may_connect_to_the_controllers_and_nowhere_else() {
    let site = Site::new();
    let page = site.get("/").await;
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("connect-src 'self' https://10.0.0.1:7601 wss://10.0.0.1:7601;"), "{policy}");
}
