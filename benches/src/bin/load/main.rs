//! Speaks the OCI API to a registry and measures it: one workload a run, one line of JSON for it.
//!
//! It must never be the bottleneck on a machine that it shares with the server: requests are formatted once, one thread
//! serves many connections, what is pulled is thrown away by the kernel, what is pushed is hashed beforehand. Each line
//! has its own processor time, so that its cost can be seen.

mod images;
mod limit;
mod process;
mod pull;
mod push;
mod reply;
mod request;
mod run;
mod seed;
mod session;
mod startup;
mod sweep;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Puts load on a registry.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Push what the other workloads ask for
    Seed(seed::Arguments),
    /// Repeat one request
    Request(request::Arguments),
    /// Pull large blobs
    Pull(pull::Arguments),
    /// Push large blobs
    Push(push::Arguments),
    /// Push small images
    Images(images::Arguments),
    /// Start a server
    Startup(startup::Arguments),
    /// Sweep, with nobody else there
    Sweep(sweep::Arguments),
    /// Measure what this machine could do at most
    Limit(limit::Arguments),
}

fn main() -> ExitCode {
    let ran = match Arguments::parse().workload {
        Workload::Seed(arguments) => seed::run(&arguments),
        Workload::Request(arguments) => request::run(&arguments),
        Workload::Pull(arguments) => pull::run(&arguments),
        Workload::Push(arguments) => push::run(&arguments),
        Workload::Images(arguments) => images::run(&arguments),
        Workload::Startup(arguments) => startup::run(&arguments),
        Workload::Sweep(arguments) => sweep::run(&arguments),
        Workload::Limit(arguments) => limit::run(&arguments),
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("load: some operations failed, or none was done");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
