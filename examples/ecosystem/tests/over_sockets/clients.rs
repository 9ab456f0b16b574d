//! The scenes, over each client.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tower_upstream::adapt::reqwest::ReqwestService;

use super::{
    reqwest_middleware::in_a_chain,
    rig::{Front, Rig},
    scenes,
};

macro_rules! scenes {
    ($($client:ident: [$($scene:ident)*])*) => {$(
        mod $client {
            $(
                #[tokio::test]
                async fn $scene() {
                    super::scenes::$scene(super::$client).await;
                }
            )*
        }
    )*};
}

macro_rules! all_scenes {
    ($($client:ident)*) => {
        scenes! {$(
            $client: [
                answers_come_back_whole
                streams_come_as_they_are_sent
                a_refusal_sends_nothing
                what_the_layers_say_comes_out_as_it_is
                failures_are_tried_again
                an_error_event_is_tried_again
                the_next_provider_answers
                a_connection_that_is_refused_costs_nothing
                a_body_that_breaks_is_an_error
                who_leaves_in_flight_closes_the_connection
                who_leaves_in_the_body_closes_the_connection
                who_leaves_the_queue_was_never_there
                a_hundred_at_once_are_all_answered
            ]
        )*}
    };
}

all_scenes! {
    hyper_over_http1
    hyper_over_http2
    reqwest_over_http1
    reqwest_over_http2
    a_client_with_middleware
    in_a_chain_of_middlewares
}

fn hyper_over_http1(rig: &Rig) -> Front {
    rig.over(hyper(false))
}

fn hyper_over_http2(rig: &Rig) -> Front {
    rig.over(hyper(true))
}

fn reqwest_over_http1(rig: &Rig) -> Front {
    rig.over(ReqwestService::new(reqwest()))
}

fn reqwest_over_http2(rig: &Rig) -> Front {
    let client = reqwest::Client::builder().retry(reqwest::retry::never());
    let client = client.http2_prior_knowledge().build().expect("a client");
    rig.over(ReqwestService::new(client))
}

fn a_client_with_middleware(rig: &Rig) -> Front {
    let client: ClientWithMiddleware = ClientBuilder::new(reqwest()).build();
    rig.over(ReqwestService::new(client))
}

fn in_a_chain_of_middlewares(rig: &Rig) -> Front {
    in_a_chain(rig.layers.clone(), ClientBuilder::new(reqwest()))
}

fn hyper(http2: bool) -> Client<HttpConnector, Full<Bytes>> {
    let mut client = Client::builder(TokioExecutor::new());
    client.http2_only(http2).build_http()
}

pub(crate) fn reqwest() -> reqwest::Client {
    let client = reqwest::Client::builder().retry(reqwest::retry::never());
    client.build().expect("a client")
}
