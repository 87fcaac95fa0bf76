# The configuration of dspex: a reference of every block and attribute.
#
# What is set here is what the demo needs. What is commented out stands with its
# default. The smallest configuration that works is one line: pool "echo" {}
#
# Durations are text with a unit: "500ms", "30s", "1h30m", "7d". Sizes are text
# with a unit too: "512MiB" is 512 * 2^20 bytes, "512MB" is 512 * 10^6. Relative
# paths start at the folder of the file that they stand in.
#
# Expressions may use var.NAME, local.NAME, host.cpus, host.memory (bytes),
# host.name and path.config (the folder of this file), and these functions:
#
#   abs base64decode can ceil chomp coalesce concat contains distinct element env
#   file fileexists filesha256 flatten floor format formatlist indent join
#   jsondecode jsonencode keys length lookup lower max merge min parseint
#   pathexpand range regex replace reverse setunion sha256 slice sort split substr
#   trimprefix trimspace trimsuffix try upper values zipmap

# Variables are inputs. A value comes from --var NAME=VALUE, else from a file of
# --var-file, else from DSPEX_VAR_NAME in the environment, else from a file
# *.auto.dspexvars beside this one, else it is the default.
variable "lm_model" {
  # The type that a value must have. Without it any will do.
  type = string

  # The value if none is given. Without it one must be given.
  default = "openai/gpt-4o-mini"

  # For people.
  description = "Language model as provider/model, as DSPy names it."

  # Do not print the value.
  # sensitive = false

  # Whether null is a value.
  nullable = false

  # Rules for the value; there may be several.
  validation {
    # True if the value is right.
    condition = length(trimspace(var.lm_model)) > 0

    # What to say if it is not.
    error_message = "lm_model must not be empty; write provider/model, such as openai/gpt-4o-mini."
  }
}

variable "lm_api_base" {
  type        = string
  default     = env("DSPEX_LM_API_BASE", "")
  description = "URL of the provider's API; empty is the provider's own."
}

variable "lm_api_key" {
  type        = string
  default     = env("OPENAI_API_KEY", "")
  description = "Key of the provider's API."
  sensitive   = true
}

# Locals are names for values. They may use variables and each other.
locals {
  qa_size = 8
}

# The host itself.
host {
  # Name of this host. Defaults to the machine's host name.
  # name = host.name

  # Folder of the store, the lock and the Python environments; DSPEX_DATA_DIR
  # overrides it. Defaults to /var/lib/dspex for root, else dspex in
  # XDG_STATE_HOME or in ~/.local/state.
  # data_dir = "/var/lib/dspex"

  # Folder of sockets; DSPEX_RUN_DIR overrides it. Defaults to /run/dspex for
  # root, else dspex in XDG_RUNTIME_DIR, else dspex-UID in the folder for
  # temporary files.
  # run_dir = "/run/dspex"

  # trace, debug, info, warn or error.
  # log_level = "info"

  # text, json, or auto: text on a terminal, else json.
  # log_format = "auto"

  # How long a stop waits for running calls.
  # drain_timeout = "30s"

  # How many workers may start at once, over all pools.
  # startup_concurrency = host.cpus

  # Bound of all pools' sizes together; 0 is none.
  # max_workers = 0
}

# Where clients reach the host. Without any listener block there are these two.
listener "unix" "local" {
  # The socket. Defaults to api.sock in run_dir.
  # path = "/run/dspex/api.sock"

  # Who may use it, as permissions of the file.
  # mode = "0660"
}

listener "tcp" "local" {
  # A loopback address and a port; port 0 takes a free one. Other addresses need
  # TLS and authentication, which this version does not have.
  address = "127.0.0.1:4680"
}

# Where sessions and programs are kept.
store {
  # bolt, a file that survives a restart, or memory, which does not.
  # engine = "bolt"

  # The file. Defaults to dspex.db in data_dir.
  # path = "/var/lib/dspex/dspex.db"
}

# Limits of sessions.
session {
  # Life of a session that asks for none.
  # default_ttl = "1h"

  # The longest life that a session may ask for.
  # max_ttl = "7d"

  # Time between two sweeps of expired sessions.
  # cleanup_interval = "60s"

  # Whether use extends the life of a session.
  # sliding = true

  # Sessions at once.
  # max_count = 100000

  # Data of one session.
  # max_bytes = "1MiB"

  # Programs of one session.
  # max_programs = 100
}

# A language model. Pools and programs refer to it by name.
lm "main" {
  # The model as DSPy names it: provider/model.
  model = var.lm_model

  # Key of the provider's API. It goes to workers by RPC after their start, never
  # into their environment.
  api_key = var.lm_api_key

  # URL of the API; empty is the provider's own.
  api_base = var.lm_api_base

  # chat, text or responses.
  # model_type = "chat"

  # From 0 to 2; null is the model's own.
  # temperature = null

  # Longest answer in tokens; null is the model's own.
  # max_tokens = null

  # Of one request.
  # timeout = "60s"

  # Further tries of a request that failed.
  # num_retries = 3

  # Keep answers in the worker's memory.
  # cache = true

  # Further arguments of dspy.LM.
  # extra = {}
}

# What all pools have unless they say otherwise: any attribute and block of pool.
defaults {
  # Longest wait for a free slot.
  queue_timeout = "5s"
}

# A pool: workers of one kind behind one queue. Names are small letters, digits
# and hyphens.
pool "qa" {
  # For people.
  description = "Question answering programs."

  # Whether to start the pool.
  # enabled = true

  # Number of workers. Defaults to host.cpus * 2.
  size = local.qa_size

  # Workers that make the pool ready.
  # min_ready = 1

  # Longest start of one worker, to its first answer; then it is killed.
  # startup_timeout = "30s"

  # How many workers may start at once.
  # startup_concurrency = host.cpus

  # Longest wait for a free slot. This one is in defaults.
  # queue_timeout = "5s"

  # Of a call that asks for none, its wait included.
  # execution_timeout = "30s"

  # How long a worker may take to end a cancelled call before it is replaced.
  # cancel_grace = "2s"

  # Python module with commands of your own.
  # module = ""

  # A go-plugin program and its arguments, in place of Python. Excludes module,
  # lm and the python block.
  # command = []

  # The language model of the pool's programs; empty is none.
  lm = "main"

  # Set in the workers' environment.
  # env = {}

  # Variables of the host's environment that workers get, and no others.
  # inherit_env = [
  #   "PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
  #   "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE",
  # ]

  # For people and tools.
  # labels = {}

  # Working folder of the workers; empty is the host's.
  # cwd = ""

  # The interpreter and its packages.
  python {
    # An interpreter that has the packages already; empty: dspex makes an
    # environment.
    # interpreter = ""

    # What version the interpreter must be.
    # version = ">=3.10,<3.15"

    # A lock file of packages; empty is the lock that comes with dspex.
    # requirements = ""

    # Require a hash for each package of the lock.
    # hashes = true

    # Folders for imports.
    # path = []

    # Download nothing.
    # offline = false

    # Let .pth files of the environment run code.
    # pth = false
  }

  # Each worker process.
  worker {
    # Calls at once in one worker, from 1 to 1024.
    concurrency = 32

    # Modules to import before the worker is ready.
    # preload = []

    # Largest arguments or result of a call.
    # max_message = "64MiB"
  }

  # Calls that wait for a slot.
  queue {
    # Calls that may wait; more are refused.
    # capacity = 1000

    # fifo: first in, first out.
    # order = "fifo"
  }

  # The choice of a worker.
  scheduler {
    # least_busy: the worker with most free slots.
    # strategy = "least_busy"

    # Among equally free workers: oldest_idle or newest_idle.
    # tie = "oldest_idle"
  }

  # When a worker counts as unhealthy, and a pool.
  health {
    # Time between two checks of a worker.
    # interval = "5s"

    # Longest check.
    # timeout = "2s"

    # Failed checks in a row after which a worker is replaced.
    # fail_after = 3

    # Share of errors in the last minute above which the pool's health is an error.
    # max_error_rate = 0.05

    # Queue timeouts in the last minute that make a warning; 0 is never.
    # warn_queue_timeouts = 1
  }

  # What follows the end of a worker's process.
  restart {
    # always, on_failure or never. Also permanent, transient or temporary.
    # mode = "always"

    # Wait before the first restart of a worker that keeps failing; it doubles.
    # backoff = "200ms"

    # Its bound.
    # max_backoff = "30s"

    # Restarts of the pool within intensity_in; more make it degraded.
    # intensity = 5

    # See intensity.
    # intensity_in = "60s"
  }

  # When a worker that is well gets a new process; the new one starts first.
  recycle {
    # After so many calls; 0 is off.
    # max_requests = 0

    # At this age; "0s" is off.
    # max_age = "0s"

    # At this resident memory; "0" is off.
    # max_rss = "0"

    # Spread the limits by this share, so that not all workers reach them at once.
    # jitter = 0.1
  }
}

# A global program: a DSPy definition that any session can run by name.
program "capital" {
  # The pool to run in.
  pool = "qa"

  # Inputs and outputs: text as here, or an object such as
  #   {
  #     inputs  = [{ name = "question", type = "str", desc = "in English" }]
  #     outputs = [{ name = "answer" }]
  #   }
  signature = "question -> answer"

  # Predict or ChainOfThought.
  # module = "Predict"

  # What the program shall do.
  instructions = "Answer with the name of the city alone."

  # Language model; empty is the pool's.
  # lm = ""

  # Settings of each request to the model, such as temperature.
  # config = {}

  # For people.
  description = "The capital of a country."
}
