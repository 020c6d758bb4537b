"""The reproductions in their smoke preset, on the shipped data, through to result files and figures."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import common.results
import figures.figure2
import figures.figure3
import figures.figure5
import figures.figure6
import figures.near_cutoff
import figures.orders
import figures.table1
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.errors import InputError
from amp_tf.files import sha256_of
from amp_tf.models import load_potential
from amp_tf.shipped import FILES
from amp_tf.training.config import MODELS, make_config
from benchmarks import step_time
from common import cluster_models, paper, solute_model
from datasets import qmmm_solutes
from datasets.qmmm_sampling import Sampling, sampling_record
from reproductions import (
    figure2,
    figure3,
    learning_curves,
    orders,
    shipped_solutes,
    solute_runs,
    solute_tables,
    solutes,
    table1,
    table2,
    water_clusters,
    water_dimer,
)
from reproductions.entry import check_preset
from reproductions.folders import RESULTS, WEIGHTS, read_result

PROVENANCE_KEYS = {"preset", "seeds", "data", "versions", "hardware", "wall_seconds", "commit", "rows"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("reproductions")
    return base / "runs", base / "results", base / "figures"


@pytest.fixture(scope="module")
def figure2_result(folders):
    runs, results, _ = folders
    return json.loads(figure2.reproduce("smoke", runs, results).read_text())


def check_pictures(paths):
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_figure2(figure2_result, folders, water_dimer_file):
    result = figure2_result
    assert set(result) >= PROVENANCE_KEYS
    assert result["data"]["sha256"] == read_reference_data(water_dimer_file).sha256
    medians = {(row["panel"], row["model"]): row for row in result["rows"] if row["metric"] == "median_test_mae"}
    assert set(medians) == {(panel, model) for panel, models in figure2.PANELS.items() for model in models}
    assert medians["A", "AMP(1)"]["published"] == 0.32
    assert medians["B", "AMP(2)"]["published"] is None
    null = next(row["value"] for row in result["rows"] if row["metric"] == "null_model_test_mae")
    assert null == pytest.approx(121.3, abs=0.5)
    check_pictures(figures.figure2.draw(result, folders[2]))


def test_the_errors_of_figure2_belong_to_its_curves(figure2_result):
    """The test MAE of a row, recomputed from the curve that is drawn."""
    reference = np.array(figure2_result["reference"]["energy"])
    errors = {(row["panel"], row["model"], row["seed"]): row["value"] for row in figure2_result["rows"] if row["metric"] == "test_mae"}
    assert len(errors) == len(figure2_result["curves"])
    for curve in figure2_result["curves"]:
        recomputed = 1000 * np.mean(np.abs(np.array(curve["energy"]) - reference)[1::2])
        assert errors[curve["panel"], curve["model"], curve["seed"]] == pytest.approx(recomputed, rel=1e-3)


def test_the_dipole_model_cannot_see_the_rotation_in_panel_b(figure2_result):
    curves = {(curve["panel"], curve["model"]): np.array(curve["energy"]) for curve in figure2_result["curves"]}
    assert np.ptp(curves["B", "AMP(1)"]) < 1e-6
    assert np.ptp(curves["C", "AMP(2)"]) < 1e-6
    assert np.ptp(curves["B", "AMP(2)"]) > 1e-3
    assert np.ptp(curves["C", "AMP(2)-DP"]) > 1e-3


def test_the_table_shows_published_and_ours(figure2_result):
    text = figure2.table(figure2_result["rows"])
    assert "0.32" in text
    assert "null model" in text


@pytest.mark.parametrize(("name", "panel", "drawing"), [("figure5", "A", figures.figure5), ("figure6", "B", figures.figure6)])
def test_learning_curves_reuse_the_runs_of_figure2(name, panel, drawing, figure2_result, folders, monkeypatch):
    runs, results, pictures = folders
    finished = sorted((runs / "water_dimer" / "smoke").rglob("metrics.json"))
    times = [path.stat().st_mtime_ns for path in finished]
    result = json.loads(learning_curves.reproduce(name, panel, drawing.MODELS, "smoke", runs, results).read_text())
    assert [path.stat().st_mtime_ns for path in finished] == times
    assert set(result) >= PROVENANCE_KEYS
    assert {curve["model"] for curve in result["curves"]} == set(drawing.MODELS)
    assert all(len(curve["step"]) == len(curve["validation_mae"]) == 2 for curve in result["curves"])
    assert "null model" in learning_curves.table(result["rows"])
    check_pictures(drawing.draw(result, pictures))


def test_an_unknown_preset_and_a_missing_result(tmp_path):
    with pytest.raises(InputError, match="unknown preset 'big'; choose PRESET=smoke"):
        check_preset("big")
    with pytest.raises(InputError, match="make it with: make reproduce-figure2 PRESET=paper"):
        read_result("figure2", "paper", tmp_path)


def test_the_paper_preset_has_the_papers_settings():
    settings = water_dimer.configuration(water_dimer.Run("A", "AMP(2)", 0), "paper")
    assert (settings["steps"], settings["batch_size"], settings["learning_rate"], settings["final_learning_rate"]) == (
        10_000,
        5,
        5e-4,
        1e-5,
    )
    assert settings["model"]["coefficient_scale"] == 1e-4
    assert "ema_momentum" not in settings


def test_published_tables_are_complete():
    assert all(len(values) == len(paper.CLUSTER_SIZES) == 15 for table in (paper.TABLE_7, paper.TABLE_8) for values in table.values())
    assert set(paper.TABLE_7) == set(paper.TABLE_8)
    assert len(paper.TABLE_7) == 8
    assert all(len(values) == len(paper.TABLE_3_MODELS) for _, values in paper.TABLE_3.values())
    assert len(paper.TABLE_3) == 12
    for system in paper.TABLE_1.values():
        assert all(len(values) == 3 for split in system.values() for values in split.values())
    for system in paper.TABLE_2.values():
        assert all(len(values) == 2 for cutoff in system.values() for values in cutoff.values())
    assert all(len(values) == 4 for values in paper.TABLE_4.values())
    assert all(len(times) == 5 for _, times in paper.TABLE_5.values())
    assert all(len(times) == 3 for times in paper.TABLE_6.values())


@pytest.fixture(scope="module")
def cluster_results(folders):
    runs, results, _ = folders
    of_figure = json.loads(figure3.reproduce("smoke", results=results, runs=runs).read_text())
    tables = [
        figure3.reproduce_table(*table, "smoke", results=results, runs=runs, tables=results)
        for table in (("table7", "energy"), ("table8", "qm_gradients"))
    ]
    return [of_figure, *(json.loads(path.read_text()) for path in tables)]


def test_a_model_with_several_seeds_has_their_median(cluster_results, folders):
    row = next(row for row in cluster_results[0]["rows"] if (row["metric"], row["model"]) == ("mean_energy_mae", "AMP(1)"))
    assert len(row["of_seeds"]) == 2
    assert row["of_seeds"][0] != row["of_seeds"][1]
    assert row["value"] == pytest.approx(np.median(row["of_seeds"]))
    assert {path.name for path in (folders[0] / "water_clusters" / "smoke").glob("AMP(1)*")} == {"AMP(1)", "AMP(1)-seed1"}
    assert not any("of_seeds" in row for row in cluster_results[0]["rows"] if row.get("model") == "AMP(2)")


def test_figure3(cluster_results, folders):
    result = cluster_results[0]
    assert set(result) >= PROVENANCE_KEYS
    for label, published in (("energy", paper.TABLE_7), ("qm_gradients", paper.TABLE_8)):
        rows = {(row["model"], row["size"]): row for row in result["rows"] if row["metric"] == f"{label}_mae"}
        assert set(rows) == {(model, size) for model in ["AMP(1)", "AMP(2)", "null model"] for size in paper.CLUSTER_SIZES}
        assert rows["AMP(2)", 20]["published"] == published["AMP(2)"][-1]
    check_pictures(figures.figure3.draw(result, folders[2]))
    text = figure3.tables(result["rows"])
    assert all(word in text for word in ("null model", "coulomb_qm_mm", "about 1M"))


def test_errors_by_distance_are_those_of_all_test_frames(cluster_results, folders):
    """Weighted by their frames the ranges make the error of all."""
    rows = cluster_results[0]["rows"]
    frames = {row["farthest_to"]: row["value"] for row in rows if row["metric"] == "frames"}
    sizes = {row["size"]: row["value"] for row in rows if (row["metric"], row["model"]) == ("energy_mae", "AMP(2)")}
    counts = {
        size: len(group)
        for size, group in water_clusters.test_groups(read_reference_data(water_clusters.data_file("smoke", folders[0]))).items()
    }
    found = sum(
        frames[row["farthest_to"]] * row["value"] for row in rows if (row["metric"], row["model"]) == ("energy_mae_by_distance", "AMP(2)")
    )
    assert sum(frames.values()) == sum(counts.values())
    assert found == pytest.approx(sum(counts[size] * error for size, error in sizes.items()), rel=1e-5)
    assert list(frames)[-1] is None
    assert len(frames) > 2


@pytest.mark.slow
def test_orders(folders):
    runs, results, pictures = folders
    result = json.loads(orders.reproduce("smoke", results=results, runs=runs).read_text())
    assert set(result) >= PROVENANCE_KEYS
    found = {
        (row["setting"], row["model"], row["seed"])
        for row in result["rows"]
        if row["metric"] == "mean_energy_mae" and row["seed"] is not None
    }
    assert found == {
        (setting.name, model, seed) for setting in orders.PRESETS["smoke"] for model in setting.models for seed in setting.seeds
    }
    check_pictures(figures.orders.draw(result, pictures))
    check_pictures(figures.near_cutoff.draw(result, pictures))
    text = orders.table(result["rows"])
    assert {row["near_cutoff"] for row in result["rows"] if row["setting"] == "scan"} == {3.0, 4.0}
    values = [row["value"] for row in result["rows"] if row["metric"] == "mean_energy_mae" and row["setting"] == "near and far"]
    assert f"{np.mean(values[:2]):.3g} ± {np.std(values[:2], ddof=1):.2g}" in text
    assert "| published" in text


def test_the_settings_of_orders_differ_in_the_polarization_alone():
    _, learnt, _, near, *_ = orders.PRESETS["laptop"]
    plain, shaped = (orders.configuration(setting, "AMP(3)", 1, "data.h5") for setting in (learnt, near))
    assert shaped == water_clusters.configuration("AMP(3)", "laptop", "data.h5", 1) | {"steps": near.steps}
    assert plain == shaped | {"model": {key: value for key, value in shaped["model"].items() if key != "near_cutoff"}}
    assert shaped["model"]["near_cutoff"] == 4.0


def test_the_tables_are_the_rows_of_figure3(cluster_results):
    of_figure, *of_tables = ({(row["metric"], row["model"], row["size"]): row for row in result["rows"]} for result in cluster_results)
    for rows, metric in zip(of_tables, ("energy_mae", "qm_gradients_mae"), strict=True):
        assert {key[0] for key in rows} == {metric, f"mean_{metric}"}
        assert all(of_figure[key]["value"] == pytest.approx(entry["value"], rel=1e-5) for key, entry in rows.items())


def test_the_errors_and_terms_of_figure3_are_recomputed(cluster_results, folders):
    """From the potential of a run, frame by frame."""
    potential = load_potential(folders[0] / "water_clusters" / "smoke" / "AMP(2)" / "potential.keras")
    group = next(group for group in read_reference_data(water_clusters.data_file("smoke", folders[0])).groups if group.name == "n14")
    found = [potential.compute_systems([group.system(frame)]) for frame in range(len(group))]
    rows = {(row["metric"], row["model"], row["size"], row.get("term")): row["value"] for row in cluster_results[0]["rows"]}
    energy_error = np.mean([abs(result["energy"][0] - energy) for result, energy in zip(found, group.energies, strict=True)])
    gradient_error = np.mean([np.abs(result["qm_gradients"][0] - g).mean() for result, g in zip(found, group.qm_gradients, strict=True)])
    coulomb = np.mean([result["energy_terms"]["coulomb_qm_mm"][0] for result in found])
    assert rows["energy_mae", "AMP(2)", 14, None] == pytest.approx(energy_error, rel=1e-4)
    assert rows["qm_gradients_mae", "AMP(2)", 14, None] == pytest.approx(gradient_error, rel=1e-4)
    assert rows["mean_energy", "AMP(2)", 14, "coulomb_qm_mm"] == pytest.approx(coulomb, rel=1e-4)


def test_the_sizes_of_the_paper_preset_are_about_a_million_parameters():
    for model, sizes in cluster_models.PAPER_SIZES.items():
        arguments = {**cluster_models.MODELS[model], **sizes}
        count = MODELS[arguments.pop("type")](elements=("H", "O"), **arguments).count_params()
        assert 0.9e6 < count < 1.1e6, f"{model}: {count}"
    settings = water_clusters.configuration("AMP(2)", "paper")
    assert (settings["steps"], settings["batch_size"], settings["learning_rate"]) == (50_000, 16, 5e-4)
    assert "ema_momentum" not in settings


def test_shipped_weights_belong_to_the_shipped_data_and_the_laptop_preset():
    digest = read_reference_data(cluster_models.DATA).sha256
    shipped = sorted((water_clusters.WEIGHTS / "laptop").glob("*.keras"))
    assert {path.stem for path in shipped} == {water_clusters.run_name(*run) for run in water_clusters.runs_of("laptop")}
    assert sum(path.stat().st_size for path in shipped) < 18e6
    for path in shipped:
        provenance = load_potential(path).provenance
        assert provenance["data_sha256"] == digest
        model, _, seed = path.stem.partition("-seed")
        settings = water_clusters.configuration(model, "laptop", seed=int(seed or 0))
        assert {key: provenance["training"][key] for key in ("steps", "model", "seed")} == {
            key: settings[key] for key in ("steps", "model", "seed")
        }


@pytest.mark.parametrize(
    ("model", "complaint"),
    [("AMP(2)", "trained on total charges"), ("GNN-P", "trained on total charges"), ("SchNet", "does not see the total")],
)
def test_shipped_weights_refuse_a_charge_that_they_were_not_trained_on(model, complaint):
    potential = load_potential(water_clusters.WEIGHTS / "laptop" / f"{model}.keras")
    assert potential.provenance["total_charges"] == [0.0]
    with pytest.raises(InputError, match=complaint):
        potential.compute([8, 1, 1], [[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], total_charge=-1.0)


def test_potentials_of_solutes_that_ship_have_a_card_and_load():
    folder, jobs = shipped_solutes.FOLDER, []
    for table in (1, 2):
        jobs += solutes.jobs_of(table, solutes.systems_of(table, "laptop"), "laptop")
    files = {job: path for job in jobs if (path := folder / shipped_solutes.potential_name(job)).is_file()}
    assert set(files.values()) == set(folder.glob("*.keras"))
    assert sum(path.stat().st_size for path in files.values()) < 40e6
    assert sum(path.stat().st_size for path in folder.glob("*.h5")) < 8e6
    for job, path in files.items():
        potential = shipped_solutes.Shipped.load(job).potential
        settings = solutes.configuration(job, "laptop", qmmm_solutes.SHIPPED_FILE)
        trained = potential.provenance["training"]
        assert {key: trained.get(key) for key in settings.keys() - {"data", "split"}} == {
            key: value for key, value in settings.items() if key not in ("data", "split")
        }
        if path.stem not in solute_model.SOLUTES.values():
            continue
        card = path.with_suffix(".md").read_text()
        assert potential.provenance["data_sha256"][:12] in card
        assert "Not trained to the end" not in card
        assert all(word in card for word in ("Limits", "Licence", "F_MM", potential.provenance["level_of_theory"]))


def test_the_uracil_potential_that_ships_knows_frames_it_has_not_seen():
    """The sample is of another trajectory than its training data."""
    potential = load_potential(WEIGHTS / "solutes" / "uracil.keras")
    group = read_reference_data(qmmm_solutes.SHIPPED_FILE).groups[0]
    frames = range(0, len(group), 5)
    found = potential.compute_systems([group.system(frame) for frame in frames])
    assert np.abs(found["energy"] - group.energies[frames]).mean() < 3.0
    assert np.abs(np.array(found["qm_gradients"]) - group.qm_gradients[frames]).mean() < 6.0
    reference = np.concatenate([group.mm_gradients[group.mm_particles(frame)] for frame in frames])
    assert np.abs(np.concatenate(found["mm_gradients"]) - reference).mean() < 0.02 * np.abs(reference).mean()


def test_a_result_that_is_repeated_leaves_its_file_alone(tmp_path):
    rows = [common.results.row("energy_mae", "kJ/mol", 0.1234567, None, model="AMP(2)")]
    path = common.results.write_result("figure", "smoke", rows, 0.0, tmp_path, seeds=[0])
    content = path.read_text()
    common.results.write_result("figure", "smoke", [rows[0] | {"value": 0.12346}], 5.0, tmp_path, seeds=[0])
    assert path.read_text() == content
    for changed in ([rows[0] | {"value": 0.125}], [rows[0] | {"value": None}], rows * 2):
        common.results.write_result("figure", "smoke", changed, 5.0, tmp_path, seeds=[0])
        assert json.loads(path.read_text())["rows"] == changed
    common.results.write_result("figure", "smoke", changed, 5.0, tmp_path, seeds=[1])
    assert json.loads(path.read_text())["seeds"] == [1]


def test_shipped_results_have_provenance():
    for path in [*RESULTS.glob("*.laptop.json"), *step_time.RESULTS.glob("*.json")]:
        result = json.loads(path.read_text())
        assert set(result) >= PROVENANCE_KEYS, path
        assert re.fullmatch("[0-9a-f]{40}", result["commit"]), f"{path} was made from a working tree with changes: {result['commit']}"


def test_shipped_results_belong_to_the_shipped_data(water_dimer_file):
    digests = {file.name: read_reference_data(file).sha256 for file in (water_dimer_file, cluster_models.DATA)}
    for path in RESULTS.glob("*.laptop.json"):
        data = json.loads(path.read_text())["data"]
        if data is None:
            assert path.name.startswith(("table4", "table5", "table6", "figure4")), f"{path} does not say of what data it is"
            continue
        if str(data.get("file", "")).startswith("datasets/"):
            assert data["sha256"] == digests[data["file"].removeprefix("datasets/")]
        else:  # too large to ship, or of others
            records = [data] if "sha256" in data else list(data.values())
            assert path.name.startswith(("table1", "table2", "dynamics", "dipeptide", "interfaces", "amp-bms", "physnet", "table3"))
            assert all(re.fullmatch("[0-9a-f]{64}", record["sha256"]) for record in records)


def test_shipped_results_of_simulations_belong_to_the_shipped_potentials():
    """For each that ships for dynamics there are measures, and of the interfaces those of the one of uracil."""
    measured = {json.loads(path.read_text())["potential_sha256"] for path in RESULTS.glob("dynamics*.laptop.json")}
    assert measured == {sha256_of(path) for path in FILES.values()}
    assert json.loads((RESULTS / "interfaces.laptop.json").read_text())["data"]["sha256"] == sha256_of(FILES["uracil"])


@pytest.fixture(scope="module")
def table1_result(folders):
    return json.loads(table1.reproduce("smoke", ["Uracil", "Uracil-PBE"], {}, folders[1], folders[0]).read_text())


def test_commands_leave_the_machine_without_its_folders():
    command = "python -m datasets.qmmm_solutes relabel /home/me/runs/uracil.h5 runs/new.h5 --frames 400"
    assert solute_tables.with_file_names(command) == "python -m datasets.qmmm_solutes relabel uracil.h5 runs/new.h5 --frames 400"


def test_table1(table1_result, folders):
    result = table1_result
    assert set(result) >= PROVENANCE_KEYS
    rows = {(row["ordering"], row["part"], row["metric"]): row for row in result["rows"] if row["system"] == "Uracil"}
    for ordering in ("unshuffled", "shuffled"):
        for label in solutes.LABELS:
            for number, part in enumerate(("train", "validation", "test")):
                entry = rows[ordering, part, f"{label}_mae"]
                assert entry["published"] == paper.TABLE_1["Uracil"][ordering][label][number]
                assert entry["value"] > 0
    check_pictures(figures.table1.draw(result, folders[2]))
    text = table1.table(result["rows"])
    assert all(word in text for word in ("null model", "HDNNP (Böselt et al. 2021)", "0.03/0.03/0.03", "unshuffled"))


def test_the_errors_of_table1_are_those_of_its_potential(table1_result, folders):
    """The last tenth in the order of time is the unshuffled test set; energies, gradients and the null model by hand."""
    data = read_reference_data(qmmm_solutes.SHIPPED_FILE)
    potential = load_potential(solutes.run_folder(solutes.START, "smoke", data.sha256, folders[0]) / "potential.keras")
    group = data.groups[0]
    frames = range(45, 50)
    found = potential.compute_systems([group.system(frame) for frame in frames])
    reference = group.mm_gradients[group.mm_offsets[45] :]
    of_uracil = [row for row in table1_result["rows"] if row["system"] == "Uracil"]
    values = {(row["part"], row["metric"]): row["value"] for row in of_uracil if row["ordering"] == "unshuffled"}
    assert values["test", "energy_mae"] == pytest.approx(np.mean(np.abs(found["energy"] - group.energies[45:])), rel=1e-3)
    assert values["test", "qm_gradients_mae"] == pytest.approx(np.mean(np.abs(found["qm_gradients"] - group.qm_gradients[45:])), rel=1e-3)
    error = np.mean(np.abs(np.concatenate(found["mm_gradients"]) - reference))
    assert values["test", "mm_gradients_mae"] == pytest.approx(error, rel=1e-3)
    assert values["test", "null_mm_gradients_mae"] == pytest.approx(np.mean(np.abs(reference)), rel=1e-6)
    null = np.mean(np.abs(group.energies[45:] - group.energies[:35].mean()))
    assert values["test", "null_energy_mae"] == pytest.approx(null, rel=1e-6)


def test_the_fine_tuned_run_of_table1_goes_on_from_the_unshuffled_one(table1_result, folders):
    digest = read_reference_data(qmmm_solutes.SHIPPED_FILE).sha256
    start, tuned = (
        load_potential(solutes.run_folder(job, "smoke", digest, folders[0]) / "potential.keras")
        for job in (solutes.START, solutes.Job(1, solutes.DFT, "fine-tuned"))
    )
    assert tuned.provenance["started_from"][0]["data_sha256"] == start.provenance["data_sha256"]
    before, after = (np.concatenate([weight.numpy().ravel() for weight in potential.trainable_variables]) for potential in (start, tuned))
    assert 0 < np.abs(after - before).mean() < 0.1 * np.abs(before).mean()
    rows = {row["ordering"]: row for row in table1_result["rows"] if row["system"] == solutes.DFT and row["metric"] == "energy_mae"}
    assert set(rows) == {"unshuffled", "fine-tuned"}
    assert {row["published"] for row in rows.values()} == {paper.TABLE_1["Uracil"]["unshuffled"]["energy"][2]}


def test_a_fine_tuned_run_without_its_start_is_refused(tmp_path):
    jobs = solutes.jobs_of(1, [solutes.DFT], "smoke")
    with pytest.raises(InputError, match=r"Uracil-PBE goes on from .* which is missing; train it with --systems Uracil,Uracil-PBE"):
        solute_runs.outcomes(jobs, "smoke", {}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_fine_tuned_run_starts_from_the_potential_that_ships_where_there_is_no_own(tmp_path):
    tuned = solutes.Job(1, solutes.DFT, "fine-tuned")
    assert solutes.start_of(tuned, "laptop", qmmm_solutes.SHIPPED_FILE, tmp_path) == solutes.SHIPPED_START
    assert load_potential(solutes.SHIPPED_START).provenance["training"]["split"]["kind"] == "ordered"
    own = solutes.run_folder(solutes.START, "laptop", read_reference_data(qmmm_solutes.SHIPPED_FILE).sha256, tmp_path) / "potential.keras"
    own.parent.mkdir(parents=True)
    own.touch()
    assert solutes.start_of(tuned, "laptop", qmmm_solutes.SHIPPED_FILE, tmp_path) == own


@pytest.mark.slow
def test_table2(folders):
    result = json.loads(table2.reproduce("smoke", ["Uracil"], {}, folders[1], folders[0]).read_text())
    rows = {(row["cutoff"], row["part"], row["metric"]): row for row in result["rows"]}
    assert rows[30.0, "test", "mm_gradients_mae"]["published"] == 0.06
    assert rows[50.0, "train", "energy_mae"]["value"] > 0
    assert rows[None, "test", "energy_mae"]["value"] != rows[50.0, "test", "energy_mae"]["value"]
    assert rows[None, "test", "energy_mae"]["published"] is None
    assert rows[30.0, None, "pairs_beyond_cutoff"]["value"] == 0.0  # 14 angstrom around a molecule of 6
    text = table2.table(result["rows"])
    assert all(word in text for word in ("0.3/0.4", "pairs, %", solutes.NEAR_AND_FAR))


def test_pairs_beyond_a_cutoff_are_counted():
    data = read_reference_data(qmmm_solutes.SHIPPED_FILE)
    one, system = replace(data, groups=(data.groups[0].subset([7]),)), data.groups[0].system(7)
    distances = np.linalg.norm(system.positions[:, None] - system.mm_positions, axis=-1)
    np.testing.assert_allclose(table2.pairs_beyond(one, (10.0, 15.0)), [np.mean(distances > 10.0), np.mean(distances > 15.0)])
    assert 0.0 < np.mean(distances > 15.0) < 0.5


def test_the_paper_presets_of_the_solutes_have_the_papers_settings():
    for table, steps in ((1, 400_000), (2, 200_000)):
        for system, batch in {"Uracil": 5, "RA": 1, "SAM": 1}.items():
            settings = solutes.configuration(solutes.Job(table, system), "paper", qmmm_solutes.SHIPPED_FILE)
            assert (settings["steps"], settings["batch_size"], settings["learning_rate"]) == (steps, batch, 5e-4)
            assert (settings["model"]["coefficient_scale"], settings["model"]["long_range_cutoff"]) == (1e-4, 50.0)
            assert "ema_momentum" not in settings
        assert all(of_preset == 10_000 for of_preset in qmmm_solutes.FRAMES["paper"].values())


def test_bad_words_on_the_command_line_of_the_solutes(tmp_path):
    with pytest.raises(InputError, match=r"--data 'water=a\.h5': give SYSTEM=FILE with SYSTEM one of Uracil, RA, SAM"):
        solutes.parse_files(["water=a.h5"])
    with pytest.raises(InputError, match="Table 1 has Uracil, Uracil-PBE in PRESET=smoke, not RA"):
        solutes.parse_systems("RA", "smoke", 1)
    with pytest.raises(InputError, match="Table 2 has Uracil, RA, SAM in PRESET=laptop, not Uracil-PBE"):
        solutes.parse_systems("Uracil-PBE", "laptop", 2)
    with pytest.raises(InputError, match="no such file; correct --data"):
        solute_runs.data_file("Uracil", "laptop", {"Uracil": tmp_path / "none.h5"})
    with pytest.raises(InputError, match="--data gives RA, which does not run; name it in --systems"):
        solute_runs.outcomes([solutes.Job(1, "Uracil")], "smoke", {"RA": qmmm_solutes.SHIPPED_FILE}, tmp_path)
    clusters = read_reference_data(cluster_models.DATA)
    with pytest.raises(InputError, match="lacks mm_gradients; the tables of Uracil need them"):
        solute_runs.check_labels(clusters, "Uracil")


@pytest.mark.parametrize("preset", solutes.PRESETS)
@pytest.mark.parametrize("table", [1, 2])
def test_every_run_of_the_solutes_has_a_valid_configuration(preset, table):
    for job in solutes.jobs_of(table, solutes.systems_of(table, preset), preset):
        config = make_config(solutes.configuration(job, preset, qmmm_solutes.SHIPPED_FILE))
        assert config.steps % config.interval == 0, "a run is validated at its end"


def test_another_molecule_under_the_name_of_a_system_is_said():
    job = solutes.Job(1, "RA")
    records = solute_tables.data_records([job], "smoke", {"RA": qmmm_solutes.SHIPPED_FILE})
    assert "what is called RA is C4H4N2O2, the published errors are of C20H28O2" in solute_tables.differs("smoke", records)
    assert "what is called" not in solute_tables.differs("smoke", solute_tables.data_records([solutes.Job(1, "Uracil")], "smoke", {}))


def test_results_of_some_systems_or_other_data_have_names_of_their_own(tmp_path):
    assert solutes.result_name(1, list(solute_model.SOLUTES), "laptop", {}) == "table1"
    assert solutes.result_name(1, ["RA"], "laptop", {}) == "table1-RA"
    assert solutes.result_name(2, ["Uracil"], "smoke", {"Uracil": tmp_path}) == "table2-own-data"


def test_a_file_with_fewer_frames_than_the_preset_asks_for_is_made_longer(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(solute_runs, "sample", lambda path, solute, engine, sampling, *rest: (calls.append(sampling.n_frames), ("", []))[1])
    shipped = read_reference_data(qmmm_solutes.SHIPPED_FILE)

    def write(**changes):
        settings = shipped.provenance.settings | sampling_record(Sampling(50), None) | changes
        write_reference_data(tmp_path / "uracil.h5", shipped.provenance.model_copy(update={"settings": settings}), shipped.groups)

    write()
    solute_runs.data_file("Uracil", "paper", {}, tmp_path)
    assert calls == [10_000]
    monkeypatch.setitem(solute_runs.FRAMES["paper"], "uracil", 50)
    solute_runs.data_file("Uracil", "paper", {}, tmp_path)
    assert calls == [10_000]
    write(zone=6.0, temperature=1000.0)  # and not what the table would say
    with pytest.raises(InputError, match=r"was not sampled as the tables ask for \(temperature, zone\); give it as --data Uracil="):
        solute_runs.data_file("Uracil", "paper", {}, tmp_path)
    shutil.copy(cluster_models.DATA, tmp_path / "uracil.h5")
    with pytest.raises(InputError, match=r"uracil\.h5 was not sampled as the tables ask for"):
        solute_runs.data_file("Uracil", "paper", {}, tmp_path)


def test_a_power_law_is_extrapolated_as_one():
    steps = [100, 200, 400, 600, 800, 1000]
    errors = [7.0 * step**-0.5 for step in steps]
    assert solute_tables.extrapolated(steps, errors, 10**5) == pytest.approx(7.0 * 10**-2.5)
    assert solute_tables.extrapolated(steps, errors, 10**6) is None
    assert solute_tables.extrapolated(steps[:2], [1.0, 0.5], 10**3) is None
    assert solute_tables.extrapolated(steps, [2.0, 1.0, 0.9, 1.0, 1.1, 1.2], 10**5) is None
