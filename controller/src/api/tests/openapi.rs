//! The committed description of the API is the one that the code serves.

use super::{Site, request};
use crate::api::openapi::render;
use axum::http::Method;
use serde_json::Value;
use std::path::PathBuf;

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

#[test]
fn the_committed_document_is_current() {
    let text = std::fs::read_to_string(committed()).unwrap_or_default();
    let hint = "run `cargo test -p omni-controller --lib write_openapi_document -- --ignored` and look at the difference";
    assert!(text == render(&crate::api::openapi()), "controller/openapi.json is not current: {hint}");
}

#[test]
#[ignore = "writes controller/openapi.json; run it by hand after changing the API"]
fn write_openapi_document() {
    std::fs::write(committed(), render(&crate::api::openapi())).expect("the folder is writable");
}

#[tokio::test]
async fn the_document_is_served_and_whole() {
    let site = Site::new();
    let reply = site.send(request(Method::GET, "/api/v1/openapi.json", None, None)).await;
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let mut missing = Vec::new();
    references(&document, &mut |reference| {
        let pointer = reference.trim_start_matches('#');
        if document.pointer(pointer).is_none() {
            missing.push(reference.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_operation_is_described() {
    let document = serde_json::to_value(crate::api::openapi()).expect("plain values");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let place = format!("{method} {path}");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{place} has no summary"
            );
            assert!(ids.insert(operation["operationId"].to_string()), "{place} shares its id");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{place}: {parameter} has no description");
            }
            let responses = operation["responses"].as_object().expect("responses");
            let fine = |status: &String| status.starts_with('2') || matches!(status.as_str(), "101" | "303");
            assert!(responses.keys().any(fine), "{place}");
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{place} {status}");
            }
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with('4')) {
                assert!(response["content"]["application/problem+json"].is_object(), "{place} {status}");
            }
        }
    }
}

fn references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found(reference);
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
