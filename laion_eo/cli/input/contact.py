"""Asks once who crawls, where a person can answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from laion_eo.contact import NoContactError, check_contact, keep_contact

T = TypeVar("T")


def with_contact(work: Callable[[], T]) -> T:
    """Do some work; where it needs a contact, ask for one at a terminal, keep it, and do it again.

    Args:
        work: What it did before it stopped for want of a contact is not done again.

    Raises:
        NoContactError: There is no contact, and nobody at a terminal to give one.
    """
    try:
        return work()
    except NoContactError as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        click.echo(f"laion-eo: {error}", err=True)
    click.echo("It is sent with every request, and kept for the next time.", err=True)
    try:
        contact = click.prompt("Contact", value_proc=_checked, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None  # as everywhere else
    click.echo(f"Kept in {keep_contact(contact)}.", err=True)
    return work()


def _checked(text: str) -> str:
    try:
        return check_contact(text.strip())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
