"""A home whose skills/ is laid out as hermes-agent leaves it: categories, names, DESCRIPTION.md."""

CATEGORIES = ("apple autonomous-ai-agents computer-use creative data-science dogfood email github "
              "hermes-desktop-plugins media mlops note-taking productivity research smart-home "
              "social-media software-development yuanbao").split()
COUNT = 73


def skill(name, description="Do what the name says, step by step.", text="1. Do it.\n", **more):
    head = {"name": name, "description": description, "version": "1.0.0", **more}
    return "---\n" + "".join(f"{k}: {v}\n" for k, v in head.items()) + f"---\n\n{text}"


def fill(put, count=COUNT):
    """`put(path, text)` writes a file of the home. Each text has the size of a bundled one."""
    for n in range(count):
        category = CATEGORIES[n % len(CATEGORIES)]
        name = f"{category}-task-{n:02}"
        put(f"skills/{category}/{name}/SKILL.md",
            skill(name, author="Somebody", license="MIT", platforms="[linux, macos]",
                  metadata="{hermes: {tags: [a, b], related_skills: []}}",
                  text="Line of a long text.\n" * 500))
        put(f"skills/{category}/DESCRIPTION.md", f"What {category} is about.\n")
    put("skills/.bundled_manifest", "x:0123\n")
