"""The table of commands: where each one lives, and its line in the help. A module loads when its command runs."""

from sfp_server.cli.lazy import Entry

COMMANDS: dict[str, Entry] = {
    "demo": Entry("sfp_server.cli.demo", "Bring up an instance here and run a real task on it."),
    "init": Entry("sfp_server.cli.init", "Write the settings and secrets of a new instance."),
    "config": Entry("sfp_server.cli.config", "Show and change the settings of an instance."),
    "render": Entry("sfp_server.cli.render", "Write the files that start would run to a folder."),
    "start": Entry("sfp_server.cli.start", "Start the instance, or bring back what died of it."),
    "stop": Entry("sfp_server.cli.stop", "Let running tasks end, then stop the instance."),
    "status": Entry("sfp_server.cli.status", "Show how the instance and its services are."),
    "health": Entry("sfp_server.cli.health", "Ask a server how it is."),
    "logs": Entry("sfp_server.cli.logs", "Show what services write, oldest first."),
    "migrate": Entry("sfp_server.cli.migrate", "Show, apply or verify the migrations of the database."),
    "destroy": Entry("sfp_server.cli.destroy", "Stop the instance and remove it with all its data."),
    "task": Entry("sfp_server.cli.task", "Submit tasks, follow them, fetch their results."),
    "application-token": Entry("sfp_server.cli.token", "Make and revoke the tokens that let programs in."),
    "token": Entry("sfp_server.cli.token", "Make and revoke the tokens that let programs in.", alias=True),
    "release": Entry("sfp_server.cli.release", "Build, show and verify releases."),
}
