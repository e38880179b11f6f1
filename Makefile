# medbert-lake: `make help` lists the targets and the variables.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

##@ Folders of a run
#: the run's folder; each stage reads and writes its own folder in it
RUN ?= runs/default
#: ingest: the raw data
INPUT ?= $(RUN)/claims
#: sequences to release-check: the vocabulary's folder (default $(RUN)/vocabulary); convert: a folder or .types file
VOCABULARY ?=
#: convert: the folder to write (default $(RUN)/model)
MODEL ?= $(RUN)/model
#: release-check: the pretraining's log; nothing for a model whose pretraining has none here
METRICS ?= $(RUN)/pretrain/metrics.jsonl

##@ Data
#: ingest: medbert (the original's TSV), omop, meds, or claims (what `make claims` writes, or by a column map)
SOURCE ?= claims
#: ingest: take in only files that were not there before: now, or an interval to go on with, e.g. "10 minutes"
FOLLOW ?=
#: ingest: take only this number of patients, the same ones in every run (not with FOLLOW)
MAX_PATIENTS ?=
#: claims: how many patients
PATIENTS ?= 20000
#: claims, shards, pretrain: seed of everything random
SEED ?= 0
#: map: CMS's General Equivalence Mapping, ICD-9-CM to ICD-10-CM, e.g. 2018_I9gem.txt
MAP ?=
#: map: a code with several targets stays (keep), becomes the first, or the whole cluster
ONE_TO_MANY ?= keep
#: map: three (the characters before the dot), or a table with columns from and to
ROLL_UP ?=
#: vocabulary, sequences: the diagnoses to read, e.g. $(RUN)/diagnoses_mapped
DIAGNOSES ?= $(RUN)/diagnoses
#: vocabulary: a code of fewer patients is left out (11: the small-cell rule)
MIN_PATIENTS ?= 11
#: vocabulary: an older one to append new codes to, ids stay; $(RUN)/vocabulary itself, or another run's
EXTEND ?=
#: sequences: 1 assembles only patients with new rows or codes (after FOLLOW, EXTEND), in the sequences there
REFRESH ?=
#: vocabulary: a Med-BERT .types file to import, instead of counting codes
TYPES ?=
#: sequences: rows of one discharge_date, of one visit_id, or of stays that overlap are one visit
VISITS ?= discharge_date
#: sequences: a patient of fewer codes is left out
MIN_CODES ?= 4
#: shards: file formats
FORMATS ?= [parquet,tfrecord]

##@ Profile and gate
#: profile: claims, diagnoses, vocabulary, sequences, or shards/train (a folder of RUN)
STAGE ?= diagnoses
#: profile: an older profile of this stage, in another folder; make stops with an error where the data drifted from it
REFERENCE ?=
#: profile: more options of the page, e.g. "--limits.codes 0.1 --limits.months_without_rows 2"
PROFILE_ARGS ?=

##@ Spark
#: spark-submit --master
SPARK_MASTER ?= local[*]
#: spark-submit --driver-memory
DRIVER_MEMORY ?= 4g
#: more arguments of spark-submit, e.g. "--conf spark.sql.shuffle.partitions=64"
SPARK_ARGS ?=
#: more arguments of the Spark job, e.g. "--min_shards 16"; of preprocess, refresh: "--shards.min_shards 16"
JOB_ARGS ?=

##@ Training and conversion
#: pretrain: a preset of configs/ (default configs/base.yaml); convert: the bert_config.json beside CHECKPOINT
CONFIG ?=
#: pretrain: tensorflow or torch
BACKEND ?= torch
#: pretrain: processes under horovodrun; 1 (without HOROVOD_ARGS) trains without it
NP ?= 1
#: more arguments of horovodrun, e.g. "-H host1:4,host2:4"
HOROVOD_ARGS ?=
#: more options of the trainer, e.g. "--steps 5000 --data.reader tfrecord"
TRAIN_ARGS ?=
#: convert: a checkpoint from anywhere, e.g. path/model.ckpt-300 or its folder (default: the run's own newest)
CHECKPOINT ?=
#: convert: what the stay head reads, first|mean|sum (default: what the run's settings say)
LOS_POOLING ?=
#: more options of the converter
CONVERT_ARGS ?=

#: extend-vocabulary, shrink: the model folder to write
CHANGED_MODEL ?= $(MODEL)_changed
##@ Set-up
#: exactly these groups of packages: spark, torch, tensorflow, s3, serve, dev (default spark,torch, and what the target needs)
GROUPS ?=
#: the Python to make .venv with, 3.11 to 3.13 (default: the one it was made with, else one on PATH); remembered
PYTHON ?= $(python_of_venv)
#: 1 builds Horovod (several processes), 0 leaves it out, auto builds it where there is a C++ compiler; remembered
HOROVOD ?=
#: 1 on a machine with an NVIDIA GPU: TensorFlow brings CUDA's libraries, Horovod is built for NCCL; remembered
GPU ?=
#: where torch comes from: cpu (the small build), a folder of wheels or an index; pypi (default on most machines); remembered
TORCH_INDEX ?=
#: executors: the processor of the cluster's hosts, x86_64 or aarch64 (default: this machine's)
MACHINE ?=
#: lock: the package to bring to its newest version, or all
UPGRADE ?=
#: more arguments of the benchmark, e.g. "--skew --pandas_patients 5000"
BENCH_ARGS ?=
#: more arguments of test-fresh, e.g. "--suites trixie --folder /large/disk"
FRESH_ARGS ?=
#: more arguments of pytest, e.g. "-m 'not spark' tests/trainer"
PYTEST_ARGS ?=

# The groups of packages that each target needs. Those of demo and the tests are added to what is installed.
of_spark := claims ingest map vocabulary sequences shards preprocess refresh profile executors
of_torch := extend-vocabulary shrink embed release-check
# Of a backend that does not exist the trainer says so itself.
backend = $(filter torch tensorflow,$(BACKEND))
$(foreach target,$(of_spark),$(eval groups_of_$(target) := spark))
$(foreach target,$(of_torch),$(eval groups_of_$(target) := torch))
groups_of_pretrain = $(backend)
groups_of_convert = torch $(if $(CHECKPOINT),tensorflow,$(backend))
groups_of_export-onnx := serve
groups_of_demo = spark torch $(backend)
groups_of_test := spark torch tensorflow serve dev
groups_of_lint := $(groups_of_test)
groups_of_test-cluster := spark dev
groups_of_bench-preprocess := spark dev
groups_of_bench-refresh := spark dev
groups_of_bench-train := torch tensorflow dev
groups_of_bench-encode := serve dev
groups_of_bench-scaling := torch dev
needs = $(foreach goal,$(MAKECMDGOALS),$(groups_of_$(goal)))

BIN := $(CURDIR)/.venv/bin
# In .venv.old it is while another .venv is made.
python_of_venv = $(firstword $(wildcard $(shell \
	sed -n 's/^executable = //p' $(wildcard .venv.old/pyvenv.cfg .venv/pyvenv.cfg) /dev/null)))
PACKAGE := dist/medbert_lake.zip
run_vocabulary = $(or $(VOCABULARY),$(RUN)/vocabulary)
# A value as one word of the shell's, whatever signs are in it.
quote = '$(subst ','\'',$(1))'
# The same for a make that this one starts, which expands it once more.
hand_on = $(call quote,$(subst $$,$$$$,$(1)))
# The variables that are paths or URIs; setup checks them before anything runs.
PATHS := RUN INPUT VOCABULARY MODEL METRICS MAP ROLL_UP DIAGNOSES EXTEND TYPES REFERENCE CONFIG CHECKPOINT CHANGED_MODEL

# Spark's driver and workers run the project's Python, whatever else is installed on the machine.
export PYSPARK_PYTHON := $(BIN)/python
export PYSPARK_DRIVER_PYTHON := $(BIN)/python
export SPARK_HOME := $(CURDIR)/.venv/spark/home
ifneq ($(filter local%,$(SPARK_MASTER)),)
export SPARK_LOCAL_IP ?= 127.0.0.1
endif
# TensorFlow's start-up notes, in each of several processes, hide the progress lines.
export TF_CPP_MIN_LOG_LEVEL ?= 2

submit = "$(BIN)/python" toolchain/spark_submit.py --local_dir $(call quote,$(RUN)/.spark) \
	--master "$(SPARK_MASTER)" --driver-memory "$(DRIVER_MEMORY)" \
	--py-files "$(PACKAGE)" $(SPARK_ARGS)
# A stage's options, in its own program and, with $(1) the stage's prefix, in preprocess.py.
of_ingest = --$(1)source $(SOURCE) --$(1)input $(call quote,$(INPUT)) $(if $(FOLLOW),--$(1)follow $(call quote,$(FOLLOW))) \
	$(if $(MAX_PATIENTS),--$(1)max_patients $(MAX_PATIENTS)) \
	--$(1)output $(call quote,$(RUN)/diagnoses)
of_vocabulary = $(if $(TYPES),--$(1)types $(call quote,$(TYPES)),--$(1)diagnoses $(call quote,$(DIAGNOSES)) --$(1)min_patients $(MIN_PATIENTS)) \
	$(if $(EXTEND),--$(1)extend $(call quote,$(EXTEND))) --$(1)output $(call quote,$(RUN)/vocabulary)
of_sequences = --$(1)diagnoses $(call quote,$(DIAGNOSES)) --$(1)vocabulary $(call quote,$(run_vocabulary)) --$(1)min_codes $(MIN_CODES) \
	--$(1)visits $(VISITS) $(if $(filter 1,$(REFRESH)),--$(1)refresh true) --$(1)output $(call quote,$(RUN)/sequences)
of_shards = --$(1)sequences $(call quote,$(RUN)/sequences) --$(1)vocabulary $(call quote,$(run_vocabulary)) --$(1)formats $(call quote,$(FORMATS)) \
	--$(1)seed $(SEED) --$(1)output $(call quote,$(RUN)/shards)
up_to_sequences = $(call of_ingest,ingest.) $(call of_vocabulary,vocabulary.) $(call of_sequences,sequences.)
# In one program each stage reads what the one before wrote.
ifneq ($(filter preprocess refresh,$(MAKECMDGOALS)),)
ifneq ($(subst $(RUN)/diagnoses,,$(DIAGNOSES)),)
$(error DIAGNOSES is $(DIAGNOSES): preprocess and refresh read the diagnoses that they write. \
	Run: make vocabulary sequences shards DIAGNOSES=…)
endif
ifneq ($(subst $(RUN)/vocabulary,,$(VOCABULARY)),)
$(error VOCABULARY is $(VOCABULARY): preprocess and refresh read the vocabulary that they write. \
	Run: make ingest sequences shards VOCABULARY=…; or begin with that one: EXTEND=…)
endif
endif
# A checkpoint of the run's own says itself what its configuration and vocabulary are.
foreign_checkpoint = $(if $(CHECKPOINT),--checkpoint $(call quote,$(CHECKPOINT)) $(if $(CONFIG),--config $(call quote,$(CONFIG))) \
	$(if $(VOCABULARY),--vocabulary $(call quote,$(VOCABULARY))))
valid_shards = --shards_if_there $(call quote,$(RUN)/shards/valid)
report_training = "$(BIN)/python" -m reports training --run $(call quote,$(RUN)/pretrain) --output $(call quote,$(RUN)/pretrain/report.html)
launch = $(if $(filter-out 1,$(NP))$(HOROVOD_ARGS),"$(BIN)/python" -m trainer.launch -np $(NP) --gloo $(HOROVOD_ARGS))

##@ Start here
.PHONY: help
help: ## list the targets and the variables
	@awk -f toolchain/help.awk $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: RUN := runs/demo
demo: CONFIG := configs/demo.yaml
# One where set-up left Horovod out.
demo: NP = $(if $(shell ls -d .venv/lib/python*/site-packages/horovod 2>/dev/null),2,1)
# Two processes train on any machine's CPU, but not on one GPU.
demo: export CUDA_VISIBLE_DEVICES := -1
demo: setup ## everything on 20,000 synthetic patients: claims to a converted model and a report
	@$(MAKE) --no-print-directory claims preprocess pretrain convert report \
		RUN=$(call hand_on,$(RUN)) INPUT=$(call hand_on,$(RUN)/claims) SOURCE=claims \
		CONFIG=$(call hand_on,$(CONFIG)) NP="$(NP)" PATIENTS="$(PATIENTS)"
	@"$(BIN)/python" -m reports demo-summary --run $(call quote,$(RUN))

##@ Stages
.PHONY: claims
claims: setup package ## generate synthetic claims: PATIENTS, SEED -> $(RUN)/claims
	$(submit) spark_jobs/generate_claims.py --patients $(PATIENTS) --seed $(SEED) \
		--output $(call quote,$(RUN)/claims) $(JOB_ARGS)

.PHONY: ingest
ingest: setup package ## raw data to one row a diagnosis: SOURCE, INPUT -> $(RUN)/diagnoses
	$(submit) spark_jobs/ingest_claims.py $(call of_ingest) $(JOB_ARGS)

.PHONY: map
map: setup package ## diagnoses in other codes: MAP, ONE_TO_MANY, ROLL_UP -> $(RUN)/diagnoses_mapped
	$(submit) spark_jobs/map_codes.py --diagnoses $(call quote,$(RUN)/diagnoses) $(if $(MAP),--map $(call quote,$(MAP))) \
		--one_to_many $(ONE_TO_MANY) $(if $(ROLL_UP),--roll_up $(call quote,$(ROLL_UP))) \
		--output $(call quote,$(RUN)/diagnoses_mapped) $(JOB_ARGS)

.PHONY: vocabulary
vocabulary: setup package ## count codes over the training split: MIN_PATIENTS -> $(RUN)/vocabulary
	$(submit) spark_jobs/build_vocabulary.py $(call of_vocabulary) $(JOB_ARGS)

.PHONY: sequences
sequences: setup package ## one row a patient, visits in order: MIN_CODES, VISITS -> $(RUN)/sequences
	$(submit) spark_jobs/build_sequences.py $(call of_sequences) $(JOB_ARGS)

.PHONY: shards
shards: setup package ## shuffled training files: FORMATS, SEED -> $(RUN)/shards
	$(submit) spark_jobs/write_shards.py $(call of_shards) $(JOB_ARGS)

.PHONY: preprocess
preprocess: setup package ## ingest, vocabulary, sequences and shards in one program, which starts Spark once
	$(submit) spark_jobs/preprocess.py $(up_to_sequences) $(call of_shards,shards.) $(JOB_ARGS)

.PHONY: refresh
refresh: override FOLLOW := $(or $(FOLLOW),now)
refresh: setup package ## what is new in INPUT through diagnoses, vocabulary and sequences, in one program; also the first time
	$(submit) spark_jobs/preprocess.py $(up_to_sequences) $(JOB_ARGS)

.PHONY: profile
profile: setup package ## one HTML page on a stage's data, a gate with REFERENCE: STAGE -> $(RUN)/profile
	$(submit) spark_jobs/profile_stage.py --input $(call quote,$(RUN)/$(STAGE)) --output $(call quote,$(RUN)/profile/$(STAGE)) \
		$(if $(filter sequences shards%,$(STAGE)),--vocabulary $(call quote,$(run_vocabulary))) \
		$(if $(REFERENCE),--reference $(call quote,$(REFERENCE))) $(JOB_ARGS)
	"$(BIN)/python" -m reports profile --profile $(call quote,$(RUN)/profile/$(STAGE)) \
		$(if $(REFERENCE),--reference $(call quote,$(REFERENCE))) --output $(call quote,$(RUN)/profile/$(STAGE).html) $(PROFILE_ARGS)

.PHONY: pretrain
pretrain: setup ## train: CONFIG, BACKEND, NP -> $(RUN)/pretrain; a run that was stopped is resumed
	$(launch) "$(BIN)/python" -m trainer pretrain --config $(call quote,$(or $(CONFIG),configs/base.yaml)) \
		--data.shards $(call quote,$(RUN)/shards) --data.vocabulary $(call quote,$(run_vocabulary)) --backend $(BACKEND) \
		--seed $(SEED) --output $(call quote,$(RUN)/pretrain) $(TRAIN_ARGS)
	$(report_training)

.PHONY: training-report
training-report: setup ## one HTML page on the training alone, also while it runs -> $(RUN)/pretrain/report.html
	$(report_training)

# What it prints is $(MODEL)/conversion_report.json too.
.PHONY: convert
convert: setup ## checkpoint to a verified transformers folder: RUN, or CHECKPOINT and CONFIG -> $(MODEL)
	"$(BIN)/python" -m conversion convert $(or $(foreign_checkpoint),--run $(call quote,$(RUN)/pretrain) $(valid_shards)) \
		$(if $(LOS_POOLING),--los_pooling $(LOS_POOLING)) --output $(call quote,$(MODEL)) $(CONVERT_ARGS) >/dev/null

.PHONY: extend-vocabulary
extend-vocabulary: setup ## a model that knows another database's codes too: MODEL, VOCABULARY, MIN_PATIENTS -> $(CHANGED_MODEL)
	"$(BIN)/python" -m conversion extend-vocabulary --model $(call quote,$(MODEL)) --vocabulary $(call quote,$(run_vocabulary)) \
		--min_patients $(MIN_PATIENTS) --output $(call quote,$(CHANGED_MODEL)) $(CONVERT_ARGS)

.PHONY: shrink
shrink: setup ## a model without codes of fewer than MIN_PATIENTS: MODEL, VOCABULARY -> $(CHANGED_MODEL)
	"$(BIN)/python" -m conversion shrink --model $(call quote,$(MODEL)) --vocabulary $(call quote,$(run_vocabulary)) \
		--min_patients $(MIN_PATIENTS) --output $(call quote,$(CHANGED_MODEL)) $(CONVERT_ARGS)

.PHONY: embed
embed: setup ## vectors of the patients of $(RUN)/sequences, and of the codes, to Parquet: MODEL -> $(RUN)/embeddings
	"$(BIN)/python" -m conversion embed --model $(call quote,$(MODEL)) --patients $(call quote,$(RUN)/sequences) \
		--vocabulary $(call quote,$(run_vocabulary)) --output $(call quote,$(RUN)/embeddings) $(CONVERT_ARGS)
	"$(BIN)/python" -m reports embeddings --embeddings $(call quote,$(RUN)/embeddings) --output $(call quote,$(RUN)/embeddings.html)

.PHONY: export-onnx
export-onnx: setup ## the model's encoder for onnxruntime, proven equal: MODEL -> $(RUN)/onnx
	"$(BIN)/python" -m conversion export-onnx --model $(call quote,$(MODEL)) --output $(call quote,$(RUN)/onnx) $(CONVERT_ARGS)

.PHONY: release-check
release-check: setup ## may $(MODEL) be given away? checks, written into its card; an error where one fails: METRICS, MIN_PATIENTS
	"$(BIN)/python" -m conversion release-check --model $(call quote,$(MODEL)) --vocabulary $(call quote,$(run_vocabulary)) \
		--sequences $(call quote,$(RUN)/sequences) --shards $(call quote,$(RUN)/shards) $(if $(METRICS),--metrics $(call quote,$(METRICS))) \
		--min_patients $(MIN_PATIENTS) $(CONVERT_ARGS) >/dev/null

.PHONY: report
report: setup ## one HTML page on the run -> $(RUN)/report.html
	"$(BIN)/python" -m reports run --run $(call quote,$(RUN)) --output $(call quote,$(RUN)/report.html)

##@ The project
# Through the environment, whose values a shell does not read.
define export_path
setup: export PATH_OF_$(1) = $$($(1))
setup: export TEXT_OF_$(1) = $$(value $(1))
endef
$(foreach name,$(PATHS),$(eval $(call export_path,$(name))))

.PHONY: setup
setup: ## make .venv from the locks: GROUPS, HOROVOD, GPU, TORCH_INDEX; does nothing when it is current
	@sh toolchain/run.sh "$(PYTHON)" install $(if $(filter setup,$(MAKECMDGOALS)),--verbose) \
		$(if $(GROUPS),--groups "$(GROUPS)") --need "$(needs)" $(if $(filter demo test test-cluster,$(MAKECMDGOALS)),--add) \
		$(if $(HOROVOD),--horovod "$(HOROVOD)") $(if $(GPU),--gpu "$(GPU)") \
		$(if $(TORCH_INDEX),--torch_index "$(TORCH_INDEX)")
	@"$(BIN)/python" toolchain/check_paths.py $(PATHS)

.PHONY: doctor
doctor: ## check what must be on the machine first, and say how to get what is missing: GROUPS, HOROVOD, GPU
	@TORCH_INDEX="$(TORCH_INDEX)" sh toolchain/doctor.sh $(if $(GROUPS),--groups "$(GROUPS)") \
		$(if $(PYTHON),--python "$(PYTHON)") $(if $(HOROVOD),--horovod "$(HOROVOD)") $(if $(filter 1,$(GPU)),--gpu)

.PHONY: test
test: setup lint package ## lint, then all tests but those of test-cluster, on all cores: PYTEST_ARGS
	@"$(BIN)/python" -m pytest -n auto --dist loadfile --ignore=tests/cluster $(PYTEST_ARGS)

.PHONY: test-cluster
test-cluster: setup ## on a Spark cluster started here: local's files, even where executors are killed: PYTEST_ARGS
	@"$(BIN)/python" -m pytest tests/cluster $(PYTEST_ARGS)

.PHONY: test-fresh
test-fresh: ## set-up, demo and some tests on fresh Debian 12 and 13 machines, made here; as root: FRESH_ARGS
	@sh toolchain/run.sh "$(PYTHON)" test_fresh $(FRESH_ARGS)

.PHONY: lint
lint: setup ## style, import rules and types
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/lint-imports" --no-cache --no-logo
	@"$(BIN)/mypy"

.PHONY: bench-preprocess
bench-preprocess: setup ## time claims to shards beside DuckDB and pandas: PATIENTS, BENCH_ARGS -> runs/bench-preprocess
	"$(BIN)/python" -m benchmarks.preprocess --patients $(PATIENTS) --seed $(SEED) \
		--driver_memory "$(DRIVER_MEMORY)" --output runs/bench-preprocess $(BENCH_ARGS)

.PHONY: bench-refresh
bench-refresh: setup ## time 1% of new claims against a full build: PATIENTS, BENCH_ARGS -> runs/bench-refresh
	"$(BIN)/python" -m benchmarks.refresh --patients $(PATIENTS) --seed $(SEED) \
		--driver_memory "$(DRIVER_MEMORY)" --output runs/bench-refresh $(BENCH_ARGS)

.PHONY: bench-train
bench-train: setup ## time training beside transformers' Trainer and padding to 512: BENCH_ARGS -> runs/bench-train
	"$(BIN)/python" -m benchmarks.train --seed $(SEED) --output runs/bench-train $(BENCH_ARGS)

.PHONY: bench-encode
bench-encode: setup ## time vectors of RUN's test patients, PyTorch beside onnxruntime: MODEL, BENCH_ARGS -> runs/bench-encode
	"$(BIN)/python" -m benchmarks.encode_patients --model $(call quote,$(MODEL)) --patients $(call quote,$(RUN)/shards/test) \
		--vocabulary $(call quote,$(run_vocabulary)) --output runs/bench-encode $(BENCH_ARGS)

.PHONY: bench-scaling
bench-scaling: setup ## time training on 1 and 2 processes, and work out 64 GPUs on paper: BENCH_ARGS -> runs/bench-scaling
	"$(BIN)/python" -m benchmarks.scaling --seed $(SEED) --output runs/bench-scaling $(BENCH_ARGS)

.PHONY: package
package: ## dist/medbert_lake.zip for spark-submit --py-files; rewritten only when its contents change
	@sh toolchain/run.sh "$(PYTHON)" package $(PACKAGE)

.PHONY: executors
executors: setup package ## the Python packages of a cluster's executors, for spark-submit --archives: MACHINE -> dist/
	@"$(BIN)/python" toolchain/executors.py $(if $(MACHINE),--machine "$(MACHINE)")

.PHONY: lock
lock: setup ## resolve requirements/*.in into requirements/*.lock again; versions stay: UPGRADE
	@"$(BIN)/python" toolchain/lock.py $(if $(UPGRADE),--upgrade "$(UPGRADE)")

.PHONY: clean
clean: ## remove dist/ and caches; .venv and runs/ stay
	rm -rf dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*/*' -prune -exec rm -rf {} +
