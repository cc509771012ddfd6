//! The same request over `wasi:http`, as JavaScript's `fetch` and Python's `http` do it.

use wasip2::http::{
    outgoing_handler::handle,
    types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme},
};

use crate::bindings::exports::portolan::dns::provider::Error;

/// `METHOD SCHEME AUTHORITY PATH`, a header in each further line, an empty line, the body.
pub(crate) fn fetch(text: &str) -> Result<(String, String), Error> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let target: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let headers = Fields::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(name, value.as_bytes()).unwrap();
    }
    let request = OutgoingRequest::new(headers);
    request
        .set_method(&if target[0] == "POST" {
            Method::Post
        } else {
            Method::Get
        })
        .unwrap();
    request
        .set_scheme(Some(&if target[1] == "http" {
            Scheme::Http
        } else {
            Scheme::Https
        }))
        .unwrap();
    request.set_authority(Some(target[2])).unwrap();
    request.set_path_with_query(Some(target[3])).unwrap();
    let out = request.body().unwrap();
    let stream = out.write().unwrap();
    let future = handle(request, None).map_err(refused)?;
    for chunk in body.as_bytes().chunks(1000) {
        // It fails when the request has been refused meanwhile; the response will say so.
        let _ = stream.blocking_write_and_flush(chunk);
    }
    drop(stream);
    let _ = OutgoingBody::finish(out, None);
    future.subscribe().block();
    let response = future.get().unwrap().unwrap().map_err(refused)?;
    let status = response.status().to_string();
    let incoming = response.consume().unwrap();
    let stream = incoming.stream().unwrap();
    let mut received = Vec::new();
    while let Ok(chunk) = stream.blocking_read(64 << 10) {
        received.extend(chunk);
    }
    Ok((status, String::from_utf8_lossy(&received).into_owned()))
}

fn refused(error: ErrorCode) -> Error {
    match error {
        ErrorCode::InternalError(Some(text)) => Error::Denied(text),
        other => Error::Transient(other.to_string()),
    }
}
