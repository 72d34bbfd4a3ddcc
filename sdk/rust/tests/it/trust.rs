//! Whom the client believes.

use crate::server::{Fake, alive};
use axum::Router;
use axum::routing::get;
use omni_sdk::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn another_cluster_is_not_asked() {
    let (ours, theirs) = (Fake::new(), Fake::new());
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let route = get(move || {
        seen.store(true, Ordering::SeqCst);
        async { alive() }
    });
    let controller = theirs.controller(Router::new().fallback(route));
    let error = ours.client(&[&controller.address]).version().await.expect_err("not ours");
    let Error::NoControllerReachable { tried } = error else { panic!("{error}") };
    assert!(tried[0].why.contains("another cluster"), "{}", tried[0].why);
    let mut events = ours.client(&[&controller.address]).follow_events(Default::default(), None);
    let error = events.next().await.expect_err("not ours");
    assert!(error.to_string().contains("another cluster"), "{error}");
    assert!(!asked.load(Ordering::SeqCst), "no request may be sent before the pin is checked");
}
