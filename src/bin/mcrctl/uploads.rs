//! `upload`: what is on its way in.

use ureq::http::Method;

use crate::client::{Client, segment};
use crate::output::{Column, Output};
use crate::repositories::Paging;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("REPOSITORY", "repository"),
    ("SIZE", "bytes"),
    ("OWNER", "owner"),
    ("BEGAN", "started_at"),
    ("ACTIVE", "last_active_at"),
];

/// The verbs of `mcrctl upload`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Upload {
    /// List uploads, the longest idle first
    List(Paging),
    /// End an upload and forget what came
    Cancel {
        /// Its id
        id: String,
    },
}

impl Upload {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List(paging) => {
                output.stream(client.pages("/v1/uploads", &[], paging.limit(), paging.offset), COLUMNS)?;
            }
            Self::Cancel { id } => {
                output.confirm(&format!("cancel the upload {id}"))?;
                client.call(Method::DELETE, &format!("/v1/uploads/{}", segment(id)), None)?;
                output.done(&format!("cancelled the upload {id}"));
            }
        }
        Ok(())
    }
}
