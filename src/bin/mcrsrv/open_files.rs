//! How many files the process may have open. Shells and service managers begin with 1024, fewer than there may be
//! connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: the database with its readers, blobs on their way out, and uploads.
const BESIDE: usize = 1000;

/// Raises the limit as far as the system lets it, and warns when that is too little for so many connections.
pub(crate) fn allow(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        log::warn!("the limit of open files cannot be raised: {error}");
    }
    if let Some(warning) = too_few(getrlimit(Resource::Nofile).current, connections) {
        log::warn!("{warning}");
    }
}

/// What to do where the limit is below what connections can take.
fn too_few(limit: Option<u64>, connections: usize) -> Option<String> {
    let wanted = connections.saturating_add(BESIDE) as u64;
    let limit = limit.filter(|limit| *limit < wanted)?;
    Some(format!(
        "only {limit} files can be open at once: raise the hard limit to {wanted} (LimitNOFILE of systemd), or lower \
         server.max_connections from {connections}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_what_connections_take_is_told() {
        let warning = too_few(Some(4096), 25_000).unwrap();
        assert!(warning.contains("4096") && warning.contains("26000"), "{warning}");
        assert_eq!((too_few(Some(26_000), 25_000), too_few(None, 25_000)), (None, None));
    }
}
