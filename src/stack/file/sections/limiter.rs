//! `rate_limit`: the limiters.

use std::time::Duration;

use http::HeaderName;

use super::quota::{QUOTA, QuotaDraft};
use crate::{
    provider::carries_credentials,
    rate_limit::{Quota, RateLimiter},
    request::Scope,
    stack::file::{
        field::{Draft, Field, Form, Table},
        reading::{Reading, Spot},
        section::{Item, Named, Part},
        show,
    },
};

/// A limiter, and those beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimiterDraft {
    quota: QuotaDraft,
    scope: ScopeDraft,
    /// `None` for no longest.
    max_wait: Option<Option<Duration>>,
    queue_capacity: Option<u64>,
    max_keys: Option<u64>,
    quotas: Vec<(String, QuotaDraft)>,
    pub(crate) and: Vec<LimiterDraft>,
}

#[derive(Clone, Debug, Default)]
enum ScopeDraft {
    All,
    #[default]
    Upstream,
    Host,
    Provider,
    Caller,
    Header(HeaderDraft),
}

#[derive(Clone, Debug, Default)]
struct HeaderDraft {
    name: String,
    spot: Spot,
}

pub(crate) const RATE_LIMIT: Table<LimiterDraft> = Table(
    "rate_limit",
    &[
        LIMITER,
        &[Field::new(
            "and",
            "More limiters: a request is admitted by all of them at once or by none.",
            &[Form::List(&[Form::Table(&Item(
                Table("limiter", &[LIMITER]),
                |limiter: &mut LimiterDraft, more| limiter.and.push(more),
            ))])],
        )],
    ],
);

const LIMITER: &[Field<LimiterDraft>] = &[
    Field::new(
        "quota",
        "What each key of the scope is granted. With the scopes `upstream` and `host` an upstream's own quota takes its place, with `provider` a provider's.",
        &[Form::Table(&Part(QUOTA, |limiter: &mut LimiterDraft| {
            &mut limiter.quota
        }))],
    ),
    Field::new(
        "scope",
        "Who has a state of his own: all requests together, each upstream, upstream or host, provider, caller (an extension of the request), or value of a header. Default: \"upstream\".",
        &[
            Form::Word("all", |limiter| limiter.scope = ScopeDraft::All),
            Form::Word("upstream", |limiter| limiter.scope = ScopeDraft::Upstream),
            Form::Word("host", |limiter| limiter.scope = ScopeDraft::Host),
            Form::Word("provider", |limiter| limiter.scope = ScopeDraft::Provider),
            Form::Word("caller", |limiter| limiter.scope = ScopeDraft::Caller),
            Form::Table(&Item(HEADER, |limiter: &mut LimiterDraft, header| {
                limiter.scope = ScopeDraft::Header(header);
            })),
        ],
    ),
    Field::new(
        "max_wait",
        "The longest wait in the queue. Default: \"90s\".",
        &[
            Form::Time(Duration::ZERO, |limiter, time| {
                limiter.max_wait = Some(Some(time));
            }),
            Form::Word("unlimited", |limiter| limiter.max_wait = Some(None)),
        ],
    ),
    Field::new(
        "queue_capacity",
        "How many requests may wait per key. Default: any number.",
        &[Form::Count(0, u64::MAX, |limiter, count| {
            limiter.queue_capacity = Some(count);
        })],
    ),
    Field::new(
        "max_keys",
        "How many keys may have a state of their own. Default: 1000000.",
        &[Form::Count(1, u64::MAX, |limiter, count| {
            limiter.max_keys = Some(count);
        })],
    ),
    Field::new(
        "quotas",
        "Quotas of single keys of the scope, by the key, in place of `quota`.",
        &[Form::Table(&Named(
            QUOTA,
            None,
            |limiter: &mut LimiterDraft, key, quota| limiter.quotas.push((key.into(), quota)),
        ))],
    ),
];

const HEADER: Table<HeaderDraft> = Table(
    "header",
    &[&[Field::required(
        "header",
        "The name of the header. Its value stands in events and states: it must be no secret, and only trusted callers should set it.",
        &[Form::Text("the name of a header", |header, name, spot| {
            header.name = name.into();
            header.spot = spot;
        })],
    )]],
);

impl LimiterDraft {
    /// The limiter and the quotas of its single keys.
    pub(crate) fn build(
        &self,
        reading: &mut Reading<'_>,
    ) -> Option<(RateLimiter, Vec<(String, Quota)>)> {
        let quota = self.quota.build(reading);
        let quotas = self.quotas.iter();
        let quotas = quotas
            .map(|(key, quota)| (key.clone(), quota.build(reading)))
            .collect();
        let scope = self.scope.build(reading)?;
        let mut limiter = RateLimiter::new(quota).ok()?.scope(scope);
        if let Some(wait) = self.max_wait {
            limiter = limiter.max_wait(wait);
        }
        let many = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        if let Some(requests) = self.queue_capacity {
            limiter = limiter.queue_capacity(many(requests));
        }
        if let Some(keys) = self.max_keys {
            limiter = limiter.max_keys(many(keys));
        }
        Some((limiter, quotas))
    }
}

impl ScopeDraft {
    fn build(&self, reading: &mut Reading<'_>) -> Option<Scope> {
        Some(match self {
            Self::All => Scope::All,
            Self::Upstream => Scope::Upstream,
            Self::Host => Scope::Host,
            Self::Provider => Scope::Provider,
            Self::Caller => Scope::by_caller(""),
            Self::Header(HeaderDraft { name, spot }) => {
                let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                    let found = show::text(name);
                    reading.wrong_at(
                        spot,
                        format!(
                            "expected the name of a header, such as \"x-tenant\", found {found}"
                        ),
                    );
                    return None;
                };
                if carries_credentials(&header) {
                    reading.wrong_at(spot, format!(
                        "expected a header that is no secret, for keys of a scope stand in events and states; found {:?}",
                        header.as_str()
                    ));
                    return None;
                }
                by_header(header)
            }
        })
    }
}

/// Each value of a header has a state of its own; requests without it together, under the empty key.
fn by_header(name: HeaderName) -> Scope {
    Scope::by(move |head| match head.headers.get(&name) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into(),
        None => "".into(),
    })
}

impl Draft for LimiterDraft {}

impl Draft for HeaderDraft {}
