//! Controllers: look at, remove, hand leadership over.

use super::ports::Group;
use super::{App, AppError, Call, View};
use crate::state::{Command, Controller, Refusal, RefusalCode, State};
use omni_common::api::v1::{ControllerRole, ControllerView, Leadership, Page, ReadQuery, TransferLeadership};
use omni_common::ids::ControllerId;

impl App {
    /// All controllers, by number, each asked how it is. There are few, so they come in one piece.
    pub async fn list_controllers(&self, state: &State) -> Page<ControllerView> {
        let group = self.mesh.group().await;
        let view = |controller| self.controller_view(controller, &group);
        Page::whole(state.controllers.values().map(view).collect())
    }

    /// One controller by name or number.
    pub async fn get_controller(&self, state: &State, name: &str) -> Result<ControllerView, AppError> {
        let controller = find(state, name)?;
        Ok(self.controller_view(controller, &self.mesh.group().await))
    }

    /// Takes a controller out of the Raft group, then revokes its certificate.
    pub async fn remove_controller(&self, call: &Call, name: &str) -> Result<View<()>, AppError> {
        let state = self.read(ReadQuery::default()).await?;
        if !state.replies.contains_key(&call.request) {
            let id = find(&state, name)?.id;
            if state.controllers.len() == 1 {
                let message = "the last controller cannot be removed";
                return Err(Refusal::new(RefusalCode::Conflict, message).into());
            }
            self.mesh.leave(id).await?;
        }
        let build = |state: &State| Ok(Command::RemoveController(find(state, name)?.id));
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    /// Hands leadership over.
    pub async fn transfer_leadership(
        &self,
        call: &Call,
        body: TransferLeadership,
    ) -> Result<Leadership, AppError> {
        let state = self.read(ReadQuery::default()).await?;
        if let Some(to) = body.to
            && !state.controllers.contains_key(&to)
        {
            return Err(AppError::not_found("controller", to.to_string()));
        }
        let target = body.to.map_or_else(|| "the most caught-up controller".to_owned(), |to| to.to_string());
        self.note(call, "controller.transfer", target, None).await?;
        let leader = self.mesh.transfer(body.to).await?;
        Ok(Leadership { leader })
    }

    fn controller_view(&self, controller: &Controller, group: &Group) -> ControllerView {
        let own = group.reached.iter().find(|status| status.id == controller.id);
        let newest = group.leader.and_then(|id| group.reached.iter().find(|status| status.id == id));
        ControllerView {
            id: controller.id,
            name: controller.name.clone(),
            quic: controller.quic.clone(),
            api: controller.api.clone(),
            region: controller.region.clone(),
            zone: controller.zone.clone(),
            joined: controller.joined,
            role: role(controller.id, group),
            reachable: own.is_some(),
            answering: controller.id == self.controller,
            last_log: own.map(|status| status.last_log),
            applied: own.map(|status| status.applied),
            lag: own.zip(newest).map(|(own, newest)| newest.last_log.saturating_sub(own.applied)),
            snapshot: own.and_then(|status| status.snapshot),
            sessions: own.map(|status| status.sessions),
            version: own.map(|status| status.version.clone()),
        }
    }
}

fn role(id: ControllerId, group: &Group) -> ControllerRole {
    if group.leader == Some(id) {
        ControllerRole::Leader
    } else if group.voters.contains(&id) {
        ControllerRole::Follower
    } else {
        ControllerRole::Learner
    }
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a Controller, AppError> {
    let found = state.find_controller(name);
    found.ok_or_else(|| AppError::not_found("controller", name))
}
