//! Facts of a stream, counted while it passes.

use super::Facts;
use super::archive::ArchiveWatch;
use super::rdb::RdbWatch;
use super::sql::SqlWatch;
use sha2::{Digest, Sha256};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What kind of stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backup) enum Kind {
    /// Nothing is known of it, but that it may be an archive.
    Bytes,
    /// A dump of PostgreSQL, as text.
    Postgres,
    /// A dump of MariaDB or MySQL, as text.
    Mariadb,
    /// A dump of Redis or Valkey.
    Rdb,
}

/// Looks at a stream that passes. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub(in crate::backup) struct Watch(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    bytes: u64,
    hash: Sha256,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Bytes(ArchiveWatch),
    Sql(SqlWatch),
    Rdb(RdbWatch),
}

impl Inner {
    fn new(kind: Kind) -> Self {
        let form = match kind {
            Kind::Bytes => Form::Bytes(ArchiveWatch::default()),
            Kind::Postgres => Form::Sql(SqlWatch::postgres()),
            Kind::Mariadb => Form::Sql(SqlWatch::mariadb()),
            Kind::Rdb => Form::Rdb(RdbWatch::default()),
        };
        Self { bytes: 0, hash: Sha256::new(), form }
    }
}

impl Watch {
    pub(in crate::backup) fn new(kind: Kind) -> Self {
        Self(Arc::new(Mutex::new(Inner::new(kind))))
    }

    /// The same watch, at the beginning again.
    pub(in crate::backup) fn renew(&self, kind: Kind) -> Self {
        *self.lock() = Inner::new(kind);
        self.clone()
    }

    fn feed(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.bytes += bytes.len() as u64;
        inner.hash.update(bytes);
        match &mut inner.form {
            Form::Bytes(archive) => archive.feed(bytes),
            Form::Sql(sql) => sql.feed(bytes),
            Form::Rdb(rdb) => rdb.feed(bytes),
        }
    }

    /// The facts, once all has passed.
    pub(in crate::backup) fn facts(&self) -> Facts {
        let mut inner = self.lock();
        let mut facts = match &mut inner.form {
            Form::Bytes(archive) => archive.facts(),
            Form::Sql(sql) => sql.facts(),
            Form::Rdb(rdb) => rdb.facts(),
        };
        facts.insert("bytes".to_owned(), inner.bytes.to_string());
        facts.insert("sha256".to_owned(), hex::encode(inner.hash.clone().finalize()));
        facts
    }

    /// Whether it was whole, as far as its kind can tell; else a sentence.
    pub(in crate::backup) fn complete(&self) -> Result<(), String> {
        match &self.lock().form {
            // Nobody has said that it is an archive; a drill that asks for one is told.
            Form::Bytes(_) => Ok(()),
            Form::Sql(sql) => sql.complete(),
            Form::Rdb(rdb) => rdb.complete(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader or writer that a watch looks at.
pub(in crate::backup) struct Watched<T> {
    pub(in crate::backup) inner: T,
    pub(in crate::backup) watch: Watch,
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.watch.feed(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Watched<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.watch.feed(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
