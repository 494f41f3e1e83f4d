//! Tasks in parallel, one on each core: a single memory or controller gains little from a second
//! core.

use std::{collections::VecDeque, sync::Mutex};

use crate::run::{Result, RunError};

/// Does all of `tasks` in their order, each on a single thread, as many at a time as the pool has
/// threads.
///
/// # Errors
/// The first failure. Tasks that have begun are finished, no other is begun.
pub fn one_per_core<T: Send>(tasks: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let (queue, failure) = (Mutex::new(VecDeque::from(tasks)), Mutex::new(None));
    let next = || {
        queue
            .lock()
            .expect("no thread panics while it takes a task")
            .pop_front()
    };
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|| {
                let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                while let Some(task) = next() {
                    let outcome = match &one {
                        Ok(pool) => pool.install(|| work(task)),
                        Err(e) => Err(RunError::Failed(format!("cannot start a thread: {e}"))),
                    };
                    if let Err(e) = outcome {
                        queue
                            .lock()
                            .expect("no thread panics while it takes a task")
                            .clear();
                        failure
                            .lock()
                            .expect("no thread panics while it fails")
                            .get_or_insert(e);
                    }
                }
            });
        }
    });
    failure
        .into_inner()
        .expect("no thread panics while it fails")
        .map_or(Ok(()), Err)
}
