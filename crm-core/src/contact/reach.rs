//! Whether a person wants to be reached, and where (SPEC CM-02).

use crate::contact::{CommunicationPreference, Contact, ContactStatus};

crate::codes! {
    /// A way to reach a person.
    pub enum Channel {
        /// By e-mail.
        #[default]
        Email = "email",
        /// By a telephone call.
        Phone = "phone",
        /// By a text message.
        Sms = "sms",
    }
}

/// Why a person is not reached.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The person does not want to be reached at all.
    #[error("the contact does not want to be reached at all")]
    DoNotContact,
    /// One no longer works with this person.
    #[error("the contact is not active; choose another contact of the customer")]
    Inactive,
    /// The person wants to be reached another way.
    #[error("the contact wants to be reached by {0} only")]
    Prefers(&'static str),
    /// There is no usable address or number for it.
    #[error("the contact has no {0} that can be used")]
    NoAddress(&'static str),
}

impl Contact {
    /// The e-mail address, or the number in E.164, at which the person may be reached by a channel. Whatever sends or calls
    /// asks this first; what the customer has consented to is decided besides.
    ///
    /// # Errors
    /// Why not, the strongest reason first.
    ///
    /// ```
    /// use crm_core::contact::{Channel, CommunicationPreference, Contact, Unreachable};
    /// let contact = Contact {
    ///     email: Some("ann@example.com".to_owned()),
    ///     communication_preference: CommunicationPreference::Email,
    ///     ..Contact::default()
    /// };
    /// assert_eq!(contact.reach_by(Channel::Email), Ok("ann@example.com"));
    /// assert_eq!(contact.reach_by(Channel::Phone), Err(Unreachable::Prefers("email")));
    /// ```
    pub fn reach_by(&self, channel: Channel) -> Result<&str, Unreachable> {
        if self.do_not_contact {
            return Err(Unreachable::DoNotContact);
        }
        if self.status == ContactStatus::Inactive {
            return Err(Unreachable::Inactive);
        }
        let (fits, address, name) = match channel {
            Channel::Email => (CommunicationPreference::Email, &self.email, "e-mail address"),
            Channel::Phone | Channel::Sms => {
                (CommunicationPreference::Phone, &self.phone_e164, "telephone number")
            }
        };
        if ![CommunicationPreference::Any, fits].contains(&self.communication_preference) {
            return Err(Unreachable::Prefers(self.communication_preference.code()));
        }
        address.as_deref().ok_or(Unreachable::NoAddress(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cm_02_whoever_does_not_want_to_be_reached_is_not() {
        use CommunicationPreference::{Any, Email, Phone};
        let (mail, number) = ("ann@example.com", "+493012345");
        for (bits, preference) in (0..16).flat_map(|bits| [Any, Email, Phone].map(|wanted| (bits, wanted))) {
            let has = |bit: u8| bits & 1 << bit != 0;
            let contact = Contact {
                do_not_contact: has(0),
                status: if has(1) { ContactStatus::Inactive } else { ContactStatus::Active },
                email: has(2).then(|| mail.to_owned()),
                phone_e164: has(3).then(|| number.to_owned()),
                communication_preference: preference,
                ..Contact::default()
            };
            for (channel, refuses, address) in [
                (Channel::Email, Phone, has(2).then_some(mail)),
                (Channel::Phone, Email, has(3).then_some(number)),
                (Channel::Sms, Email, has(3).then_some(number)),
            ] {
                let reached = contact.reach_by(channel);
                let wanted = !has(0) && !has(1) && preference != refuses;
                assert_eq!(reached.ok(), address.filter(|_| wanted), "{contact:?} by {channel:?}");
            }
        }
    }
}
