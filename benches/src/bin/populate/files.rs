//! The files of the blobs: written where the layout wants them, synced by whoever ends the work.

use std::fs;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use mcr_actors::blob_store::Layout;
use mcr_bench::content::{digest, small_blob};

use crate::arguments::Arguments;
use crate::rows;

/// Starts the threads; each makes every so manieth file.
pub(crate) fn start(
    arguments: &Arguments,
    layout: &Layout,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    for index in 0..256 {
        fs::create_dir_all(layout.directory(index)).context("cannot make a directory of blobs")?;
    }
    write(layout, rows::SHARED)?;
    let make = |first: usize| {
        let (arguments, layout) = (arguments.clone(), layout.clone());
        let indices = (first as u64..arguments.blobs).step_by(arguments.threads);
        thread::spawn(move || {
            let all = arguments.blobs;
            for index in indices {
                write(&layout, &small_blob(arguments.seed, index))?;
                if index > 0 && index % 100_000 == 0 {
                    eprintln!("files: {index} of {all}");
                }
            }
            Ok(())
        })
    };
    Ok((0..arguments.threads).map(make).collect())
}

fn write(layout: &Layout, content: &[u8]) -> anyhow::Result<()> {
    let path = layout.path(&digest(content));
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
