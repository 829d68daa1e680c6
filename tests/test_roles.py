from __future__ import annotations

import itertools

import pytest
from django.contrib.auth.models import Group, Permission, User

from punklab import roles

pytestmark = pytest.mark.django_db


def _rights(role: str) -> set[str]:
    user = User.objects.create_user(f"the-{role}")
    user.groups.add(Group.objects.get(name=role))
    return user.get_all_permissions()


def test_migrate_makes_four_groups_each_with_the_rights_of_the_one_before() -> None:
    rights = [_rights(role) for role in roles.ROLES]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(rights))
    viewer, reviewer, operator, publisher = rights
    assert all(right.split(".")[1].startswith("view_") for right in viewer)
    assert {"runs.view_trainingrun", "deployment.view_release", "django_q.view_failure"} <= viewer
    assert reviewer - viewer == {roles.SCORE}
    assert roles.TRAIN in operator - reviewer
    assert publisher - operator == {roles.PROMOTE}


def test_no_role_may_delete_anything() -> None:
    assert not [right for right in _rights(roles.PUBLISHER) if ".delete_" in right]


def test_sync_restores_a_lost_right_and_keeps_one_that_a_person_added() -> None:
    group = Group.objects.get(name=roles.REVIEWER)
    added = Permission.objects.get(codename="view_user")
    group.permissions.remove(Permission.objects.get(codename="score_epochresult"))
    group.permissions.add(added)
    roles.sync()
    names = set(group.permissions.values_list("codename", flat=True))
    assert {"score_epochresult", "view_user"} <= names


def test_a_person_without_the_right_is_told_which_role_to_ask_for() -> None:
    user = User.objects.create_user("vera")
    user.groups.add(Group.objects.get(name=roles.VIEWER))
    with pytest.raises(roles.RoleError, match="needs the role reviewer"):
        roles.person("vera", roles.SCORE)
    user.groups.add(Group.objects.get(name=roles.OPERATOR))
    assert roles.person("vera", roles.SCORE) == user


def test_an_unknown_or_closed_account_is_named() -> None:
    User.objects.create_superuser("gone", is_active=False)
    with pytest.raises(roles.RoleError, match="nobody with the log-in 'nobody'"):
        roles.person("nobody", roles.SCORE)
    with pytest.raises(roles.RoleError, match="closed"):
        roles.person("gone", roles.SCORE)
