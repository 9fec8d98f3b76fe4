//! `remote_data`: a member as the provider itself might have sent it.

use crate::people::Member;
use crate::places::Places;
use crate::profile::Provider;
use crate::random::{Random, mix};
use crate::words;
use crate::write::Json;

const PURPOSE: u64 = 400;

/// Appends the provider's own record.
pub(crate) fn write(member: &Member, places: &Places, json: &mut Json<'_>) {
    match member.provider {
        Provider::Slack => slack(member, places, json),
        Provider::Teams => teams(member, places, json),
    }
}

fn workspace<'a>(member: &Member, places: &'a Places) -> &'a str {
    member.workspaces.first().and_then(|&nth| places.workspaces.get(nth)).map_or("", |place| &place.id)
}

/// As `users.info` of Slack answers.
fn slack(member: &Member, places: &Places, json: &mut Json<'_>) {
    let random = &mut Random::of(0, member.index, PURPOSE);
    let team = workspace(member, places);
    let zone = member.timezone % words::ZONES.len();
    let hash = format!("{:012x}", mix(member.index) >> 16);
    json.object(|json| {
        json.text("id", &member.id.text());
        json.text("team_id", team);
        json.text("name", &member.username);
        json.flag("deleted", member.status == "deleted");
        json.text("color", random.pick(&["9f69e7", "e7392d", "3c989f", "4bbe2e", "674b1b"]));
        json.text("real_name", &member.name);
        json.text("tz", words::ZONES[zone]);
        json.text("tz_label", random.pick(&["Central European Time", "Pacific Standard Time", "Japan Standard Time"]));
        json.key("tz_offset");
        json.signed(i64::from(words::EAST[zone]) * 60);
        json.key("profile");
        json.object(|json| {
            json.text("title", member.title);
            json.text("phone", member.phones.first().map_or("", |phone| &phone.number));
            json.text("skype", "");
            json.text("real_name", &member.name);
            json.text("real_name_normalized", &member.name);
            json.text("display_name", &member.username);
            json.text("display_name_normalized", &member.username);
            json.key("fields");
            if random.below(4) == 0 {
                json.object(|json| {
                    json.key("Xf06054BBB");
                    json.object(|json| {
                        json.text("value", "Barista \u{2615}");
                        json.text("alt", "");
                    });
                });
            } else {
                json.null();
            }
            json.text("status_text", &member.bio);
            json.text("status_emoji", random.pick(&["", "", ":palm_tree:", ":house_with_garden:"]));
            json.key("status_emoji_display_info");
            json.array(|_| {});
            json.number("status_expiration", 0);
            json.text("avatar_hash", &hash);
            json.key("email");
            json.string_or_null(member.emails.first().map(|email| email.address.as_str()));
            json.text("first_name", member.first_name);
            json.text("last_name", member.last_name);
            for size in ["24", "32", "48", "72", "192", "512", "1024"] {
                json.text(
                    &["image_", size].concat(),
                    &["https://avatars.example.com/2026-03-14/", &hash, "_", size, ".png"].concat(),
                );
            }
            json.flag("is_custom_image", true);
            json.text("status_text_canonical", "");
            json.text("huddle_state", "default_unset");
            json.text("pronouns", "");
            json.text("team", team);
        });
        json.flag("is_admin", member.kind == "admin");
        json.flag("is_owner", false);
        json.flag("is_primary_owner", false);
        json.flag("is_restricted", member.kind == "guest");
        json.flag("is_ultra_restricted", false);
        json.flag("is_bot", member.kind == "bot");
        json.flag("is_app_user", false);
        json.number("updated", member.dates[5].seconds.unsigned_abs());
        json.flag("is_email_confirmed", member.verified);
        json.flag("has_2fa", random.below(2) == 0);
        json.text("who_can_share_contact_card", "EVERYONE");
    });
}

/// As Microsoft Graph lists the members of a team, with the user expanded.
fn teams(member: &Member, places: &Places, json: &mut Json<'_>) {
    let random = &mut Random::of(0, member.index, PURPOSE);
    let id = member.id.text();
    let email = member.emails.first().map(|email| email.address.as_str());
    let tenant = "5d2f6f3e-0b7c-4a53-9a41-6c1f2f6c9c11";
    json.object(|json| {
        json.text("@odata.type", "#microsoft.graph.aadUserConversationMember");
        json.key("id");
        json.quoted(|out| {
            // The membership's own identifier: opaque text in the alphabet of base64.
            for _ in 0..12 {
                out.extend_from_slice(
                    &mix(random.next()).to_be_bytes().map(|b| {
                        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[usize::from(b & 63)]
                    }),
                );
            }
        });
        json.key("roles");
        json.array(|json| {
            if member.kind == "admin" || member.kind == "guest" {
                json.item();
                json.string(if member.kind == "admin" { "owner" } else { "guest" });
            }
        });
        json.text("displayName", &member.name);
        json.text("visibleHistoryStartDateTime", "0001-01-01T00:00:00Z");
        json.text("userId", &id);
        json.key("email");
        json.string_or_null(email);
        json.text("tenantId", tenant);
        json.key("user");
        json.object(|json| {
            json.key("businessPhones");
            json.array(|json| {
                for phone in &member.phones {
                    json.item();
                    json.string(&phone.number);
                }
            });
            json.text("displayName", &member.name);
            json.text("department", random.pick(&["Sales", "Engineering", "Büro & Recht"]));
            json.text("companyName", random.pick(words::ORGANIZATIONS));
            json.text("userType", if member.kind == "guest" { "Guest" } else { "Member" });
            json.text("usageLocation", random.pick(&["DE", "US", "JP", "NG"]));
            json.text("givenName", member.first_name);
            json.text("jobTitle", member.title);
            json.key("mail");
            json.string_or_null(email);
            json.key("mobilePhone");
            json.null();
            json.text("officeLocation", random.pick(&["131/1104", "Büro 4. OG", "Remote", "12/1110"]));
            json.text("preferredLanguage", random.pick(words::LANGUAGES));
            json.text("surname", member.last_name);
            json.text("userPrincipalName", email.unwrap_or(&member.username));
            json.text("id", &id);
            json.text("employeeId", &(100_000 + random.below(900_000)).to_string());
            json.flag("accountEnabled", member.status != "inactive");
            json.key("createdDateTime");
            json.quoted(|out| member.dates[1].write(out));
            json.key("assignedLicenses");
            json.array(|json| {
                for _ in 0..=random.below(2) {
                    json.item();
                    json.object(|json| {
                        json.key("disabledPlans");
                        json.array(|_| {});
                        json.text("skuId", &crate::ident::uuid(random.next(), 0));
                    });
                }
            });
            json.key("onPremisesExtensionAttributes");
            json.object(|json| {
                for nth in 1..=4 {
                    json.key(
                        ["extensionAttribute1", "extensionAttribute2", "extensionAttribute3", "extensionAttribute4"]
                            [nth - 1],
                    );
                    json.null();
                }
            });
        });
        json.text("teamId", workspace(member, places));
    });
}
