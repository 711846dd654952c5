"""A recipe with settings changed, and the recipe that a file of weights was trained by: the file says it itself."""

import dataclasses
from functools import partial

from snn_helpers import losses, recipes, weights
from snn_helpers.neurons import beta_from_tau

SETTINGS = "epochs", "steps", "batch_size", "lr", "loss", "tau", "beta", "threshold"


def known(system, name):
    """The recipe of that name. Raises ValueError, with the names that there are, for another one."""
    if name not in recipes.RECIPES[system]:
        raise ValueError(f"{system} has no recipe {name!r}. There are: {', '.join(recipes.RECIPES[system])}.")
    return recipes.RECIPES[system][name]


def named(system, name, changes):
    """What a run is called in its files, a dict, and its recipe: that of the name with ``changes`` to some of SETTINGS.

    Changes that change nothing do not count. Raises ValueError as ``known`` and ``changed``.
    """
    base = known(system, name)
    changes = {key: value for key, value in changes.items() if changed(base, {key: value}) is not base}
    if not changes:
        return {"system": system, "recipe": name}, base
    called = {"system": system, "recipe": "custom", "based_on": name, "changes": changes}
    return called, changed(base, changes)


def changed(recipe, changes):
    """The recipe with ``changes``, values of some of SETTINGS; the recipe itself where they are its own.

    tau is a time constant in steps, and beta = exp(-1/tau). It means more to a recipe that has a ``tau``: there, as
    published, beta = 1 - 1/tau and the input comes divided by tau. Raises ValueError for a change that the recipe has
    no use for.
    """
    neuron = {key: changes[key] for key in ("beta", "threshold") if key in changes}
    fields = {key: changes[key] for key in ("epochs", "steps", "batch_size", "lr") if key in changes}
    if recipe.convert and (neuron or {"steps", "tau", "loss"} & set(changes)):
        raise ValueError(
            "a cnn has no time while it is trained: --steps, --tau, --beta, --threshold and --loss are for spiking "
            "networks; convert has --steps and --v-init."
        )
    if "loss" in changes:
        fields["loss"] = getattr(losses, f"{changes['loss']}_loss")
    if "tau" in changes and recipe.tau is None:
        neuron["beta"] = beta_from_tau(changes["tau"])
    elif "tau" in changes and changes["tau"] != recipe.tau:
        if changes["tau"] < 1:
            raise ValueError(
                "--tau must be at least 1 in this recipe, whose neuron is the published one: it keeps 1 - 1/tau of its "
                f"membrane in a step, and takes in 1/tau of its input; got {changes['tau']:g}. --beta takes any share."
            )
        neuron["beta"] = beta_from_tau(changes["tau"], method="euler")
        fields |= {"tau": changes["tau"], "encode": partial(recipes.decayed_poisson, tau=changes["tau"])}
    if neuron and partial(recipe.network, **neuron)().extra_repr() != recipe.network().extra_repr():
        fields["network"] = partial(recipe.network, **neuron)
    fields = {key: value for key, value in fields.items() if value != getattr(recipe, key)}
    return dataclasses.replace(recipe, **fields) if fields else recipe


def trained_by(system, path, name=None):
    """(recipe, its name, what the file says) of a file of weights of ``system``; ``name`` is what the user says.

    A file that says nothing is taken to be of the recipe ``name``, or of "fast". Raises ValueError if the file is of
    another recipe than ``name``, of another system, or was trained with a neuron or a number of steps that this package
    does not have for what the file calls its recipe; and as ``weights.about``.
    """
    said = weights.about(path)
    if said.get("system", system) != system:
        raise ValueError(f"{path} is of another network: it holds {said['system']}, wanted {system}.")
    base = said.get("based_on", said.get("recipe"))
    if base not in recipes.RECIPES[system]:
        base = None
    if name and base and name != base:
        raise ValueError(f"{path} was trained by recipe {base}, wanted {name}. Leave out --recipe: the file says it.")
    name = name or base or "fast"
    recipe = changed(known(system, name), said.get("changes", {}))
    layer = recipe.network().extra_repr()
    wanted = {"layer": layer, "steps": recipe.convert.get("steps", recipe.steps)}
    found = {"layer": said.get("settings", {}).get("layer", layer), "steps": said.get("steps", wanted["steps"])}
    if found != wanted:
        raise ValueError(
            f"{path} was trained with {found['layer']} in {found['steps']} steps, but recipe {name} has "
            f"{wanted['layer']} in {wanted['steps']}. Name the --recipe that it was made by, or train it again."
        )
    return recipe, name, said
