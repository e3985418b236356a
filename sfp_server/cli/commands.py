"""The table of commands: where each one lives, and its line in the help. A module loads when its command runs."""

from sfp_server.cli.lazy import Entry

COMMANDS: dict[str, Entry] = {
    "init": Entry("sfp_server.cli.init", "Write the settings and secrets of a new instance."),
    "config": Entry("sfp_server.cli.config", "Show and change the settings of an instance."),
    "render": Entry("sfp_server.cli.render", "Write the files that start would run to a folder."),
}
