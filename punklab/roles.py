"""Who may do what: four groups, each with the rights of the one before it.

Django's permissions are the truth; a group is a bundle of them. `migrate` keeps the four groups complete and leaves
rights that a person added to them alone.
"""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User

VIEWER = "viewer"
REVIEWER = "reviewer"
OPERATOR = "operator"
PUBLISHER = "publisher"
ROLES = (VIEWER, REVIEWER, OPERATOR, PUBLISHER)

VIEW_EPOCHS = "evaluation.view_epochresult"
SCORE = "evaluation.score_epochresult"
TRAIN = "runs.train_trainingrun"
PROMOTE = "deployment.promote_release"

# What each role may do beyond the one before it; viewers also see every table of these apps.
APPS = ("runs", "evaluation", "deployment", "django_q", "auditlog")
ADDED = {
    VIEWER: (),
    REVIEWER: (SCORE,),
    OPERATOR: (
        TRAIN,
        "runs.add_captionversion",
        "runs.change_captionversion",
        "runs.add_trainingrun",
        "runs.change_trainingrun",
        "evaluation.add_testprompt",
        "evaluation.change_testprompt",
        "evaluation.add_suiteprompt",
        "evaluation.change_suiteprompt",
        "evaluation.add_suiterule",
        "evaluation.change_suiterule",
        "evaluation.add_epochresult",
        "evaluation.change_epochresult",
        "evaluation.add_prompttestresult",
        "evaluation.change_prompttestresult",
    ),
    PUBLISHER: (PROMOTE,),
}


class RoleError(ValueError):
    """A person who does not exist, or may not do what was asked."""


def sync() -> None:
    """Create the four groups and give them the rights of their role; again changes nothing."""
    for label in APPS:
        create_permissions(apps.get_app_config(label), verbosity=0)
    rights = set(Permission.objects.filter(content_type__app_label__in=APPS, codename__startswith="view_"))
    for role in ROLES:
        rights |= {_permission(name) for name in ADDED[role]}
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.add(*rights)


def person(username: str, permission: str) -> User:
    """Return the person of that log-in name, who may do what `permission` ("app.codename") names.

    Raises `RoleError` with a sentence for people: no such person, a closed account, or a right that is missing.
    """
    user = User.objects.filter(username=username).first()
    if user is None:
        raise RoleError(
            f"There is nobody with the log-in {username!r}: create them in the console or use another name."
        )
    if not user.is_active:
        raise RoleError(f"The account of {username!r} is closed.")
    if not user.has_perm(permission):
        raise RoleError(f"{username!r} may not do this: it needs the role {role_for(permission)} ({permission}).")
    return user


def role_for(permission: str) -> str:
    """Return the first role that holds the permission: what to ask an administrator for."""
    return next((role for role in ROLES if permission in ADDED[role]), VIEWER)


def _permission(name: str) -> Permission:
    label, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=label, codename=codename)
