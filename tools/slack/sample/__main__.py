"""`python -m tools.slack.sample OUT`: writes the made-up workspace, and the truth about it to `OUT.truth.json`."""

from pathlib import Path

import click

from tools.slack.sample.write import FORMS, Form, write, write_truth


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--form", type=click.Choice(FORMS), default="archive", show_default=True)
@click.option("--video-bytes", type=click.IntRange(min=1), default=3_000_000, show_default=True)
def main(out: Path, form: Form, video_bytes: int) -> None:
    """Write it."""
    if out.exists():
        raise click.ClickException(f"{out} exists")
    expected = write(out, form=form, video_bytes=video_bytes)
    write_truth(out.with_name(f"{out.name}.truth.json"), expected)
    click.echo(f"{len(expected)} files in {out}")


if __name__ == "__main__":
    main()
