//! What the environment sets.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tower::BoxError;

pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    /// The tenants with their keys; without any, everybody may ask.
    pub(crate) keys: Vec<(Arc<str>, String)>,
    pub(crate) tenant_requests_per_minute: u64,
    pub(crate) admin_token: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) audit: Option<PathBuf>,
    pub(crate) max_body: usize,
    pub(crate) body_time: Duration,
    pub(crate) answer_time: Duration,
    pub(crate) drain_time: Duration,
}

impl Settings {
    /// What these variables set. One that is blank is not set.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BoxError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let number = |name: &str, default: u64, most: u64| match set(name).map(|it| it.parse()) {
            None => Ok(default),
            Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(format!("{name}: expected a whole number from 1 to {most}")),
        };
        let seconds = |name, default| number(name, default, 86_400).map(Duration::from_secs);
        let address = set("GATEWAY_ADDRESS").unwrap_or_else(|| "127.0.0.1:8080".into());
        // Whoever sets it does not mean that everybody may ask, whatever he made of it.
        let keys = set("GATEWAY_KEYS").map_or(Some(Vec::new()), |keys| {
            let pairs = keys.split(',').map(|pair| {
                let (tenant, key) = pair.trim().split_once(':')?;
                (!tenant.is_empty() && !key.is_empty()).then(|| (tenant.into(), key.to_owned()))
            });
            pairs.collect()
        });
        let per_minute = number("GATEWAY_TENANT_REQUESTS_PER_MINUTE", 600, 1_000_000_000)?;
        Ok(Self {
            address: address
                .parse()
                .map_err(|_| "GATEWAY_ADDRESS: expected IP:PORT")?,
            keys: keys.ok_or("GATEWAY_KEYS: expected TENANT:KEY, and commas between")?,
            tenant_requests_per_minute: per_minute,
            admin_token: set("GATEWAY_ADMIN_TOKEN").map_or_else(random_token, Ok)?,
            state: set("GATEWAY_STATE").map(PathBuf::from),
            audit: set("GATEWAY_AUDIT").map(PathBuf::from),
            max_body: usize::try_from(number("GATEWAY_MAX_BODY_BYTES", 4 << 20, 1 << 30)?)?,
            body_time: seconds("GATEWAY_BODY_SECONDS", 30)?,
            answer_time: seconds("GATEWAY_ANSWER_SECONDS", 300)?,
            drain_time: seconds("GATEWAY_DRAIN_SECONDS", 30)?,
        })
    }
}

/// 128 bits that nobody can guess.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Told once.
fn random_token() -> Result<String, BoxError> {
    let token = random().map_err(|error| error.to_string())?;
    eprintln!("admin token, as GATEWAY_ADMIN_TOKEN is not set: {token}");
    Ok(token)
}
