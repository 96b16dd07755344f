//! The examples of each command's help.

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner get
  sandbox-provisioner get abc-123 -o yaml
  sandbox-provisioner get --status Pending --sort-by age -o wide
  sandbox-provisioner get --watch

Exit status of all commands:
  0  everything was done            4  the API key is missing or wrong
  1  the daemon refused something   5  the daemon cannot be reached, or cannot answer now
  2  the flags are invalid          6  the time of a wait was up
  3  something does not exist";

pub(super) const CREATE_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner create abc-123
  sandbox-provisioner create abc-123 --profile large --ttl 8h --idle-timeout 30m --wait
  sandbox-provisioner create -f body.json

A sandbox that exists already is shown unchanged.";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner delete abc-123 def-456
  sandbox-provisioner delete --status Failed --dry-run
  sandbox-provisioner delete --all --interactive

A sandbox that does not exist counts as deleted. As with kubectl, --all asks only with --interactive.";

pub(super) const LIMITS_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner limits abc-123 --ttl 8h --idle-timeout default
  sandbox-provisioner limits abc-123 --cpu 4 --memory 2Gi";

pub(super) const EVENTS_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner events
  sandbox-provisioner events abc-123 --initial
  sandbox-provisioner events -o json | jq .event

After a disconnect the stream continues where it was. Each line of '-o json' is one event.";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner logs abc-123
  sandbox-provisioner logs abc-123 --follow --tail 0
  sandbox-provisioner logs abc-123 --previous --since 1h --timestamps

The daemon needs the right to get pods/log. On a terminal, control characters other than colours are escaped.";

pub(super) const WAIT_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner wait abc-123 --timeout 2m
  sandbox-provisioner wait abc-123 --for deleted

Exit status: 0 if the state is reached, 1 if it cannot be, 3 if the sandbox does not exist, \
6 if the time is up.";

pub(super) const WORKSPACES_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner workspaces
  sandbox-provisioner workspaces resize ID 20Gi
  sandbox-provisioner workspaces delete ID";

pub(super) const CLUSTERS_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner clusters -o wide
  sandbox-provisioner clusters west --drain
  sandbox-provisioner clusters west --undrain --weight 50";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner completions bash > /etc/bash_completion.d/sandbox-provisioner
  sandbox-provisioner completions zsh > ~/.zfunc/_sandbox-provisioner
  sandbox-provisioner completions fish > ~/.config/fish/completions/sandbox-provisioner.fish";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  sandbox-provisioner man | man -l -
  sandbox-provisioner man --dir /usr/local/share/man/man1";

pub(super) const TOP_HELP: &str = "\
Keys:
  up, down, page up, page down, home, end   select a sandbox
  < >   change the order     /     filter by words
  r     reverse it           esc   clear the filter
  w     more columns         enter the whole sandbox
  q     quit";
