//! Coming back after the certificate has ended, because the host was off or cut off for longer than a day.
//!
//! No session can be had then, and renewal needs one. What is left is the key of the ended certificate: a controller that
//! still knows the host takes it as proof and issues the next certificate.

use super::Agent;
use super::course::{Course, Round};
use super::peers;
use super::renewal::{Credentials, Proof, RenewError};
use crate::enroll;
use omni_common::ids::{RequestId, TokenId};
use omni_common::wire::{
    Applicant, ControllerAddress, EnrollReply, EnrollRequest, PROTOCOL_MAX, PROTOCOL_MIN,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

impl Agent {
    /// The certificate, when it has ended.
    pub(super) fn ended_certificate(&self) -> Option<&dyn Credentials> {
        self.credentials.as_deref().filter(|own| self.clock.now() >= own.validity().1)
    }

    /// Asks each controller once, until one takes this host back.
    pub(super) async fn come_back(
        &self,
        own: &dyn Credentials,
        course: &mut Course,
        stop: &CancellationToken,
    ) -> Round {
        if course.rounds_in_vain == 0 {
            tracing::warn!(ended = %own.validity().1, now = %self.clock.now(), "certificate ended, asking for a new one");
        }
        let controllers = self.book.list().controllers;
        let order = peers::order(&controllers, self.region.as_deref(), course.left, &mut self.rng());
        for controller in order {
            let asked = self.ask_back(own, &controller, course);
            match stop.run_until_cancelled(asked).await {
                None => return Round::Stopped,
                Some(Ok(())) => {
                    tracing::info!(controller = %controller.id, not_after = %own.validity().1, "taken back");
                    own.save().await;
                    return Round::Lost;
                }
                Some(Err(reason)) if course.rounds_in_vain == 0 => {
                    tracing::warn!(controller = %controller.id, address = controller.quic, reason, "not taken back");
                }
                Some(Err(reason)) => {
                    tracing::debug!(controller = %controller.id, address = controller.quic, reason, "not taken back");
                }
            }
        }
        course.rounds_in_vain += 1;
        Round::Vain
    }

    /// Asks one controller; an error is a sentence for an operator.
    async fn ask_back(
        &self,
        own: &dyn Credentials,
        controller: &ControllerAddress,
        course: &mut Course,
    ) -> Result<(), String> {
        let in_words = |error: RenewError| error.to_string();
        let Proof { csr, certificate, ca } = own.prove().map_err(in_words)?;
        let request = EnrollRequest {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // The proof stands in for a token.
            token: TokenId::from_u128(0),
            secret: Vec::new(),
            now: self.clock.now(),
            csr,
            applicant: Applicant::Returning { certificate },
            request: RequestId::mint(),
        };
        match enroll::ask(&controller.quic, &ca, &request, self.network.as_ref()).await {
            Ok(EnrollReply::Accepted { chain, controllers, .. }) => {
                own.accept(chain).map_err(in_words)?;
                course.removal.welcomed();
                self.learn(controllers);
                Ok(())
            }
            Ok(EnrollReply::Refused { code, message }) => {
                if code == "host_unknown" {
                    course.removal.heard(controller.id, Instant::now());
                    course.last_words.clone_from(&message);
                }
                Err(message)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
