# The configuration of dspex, with every setting. What is commented out shows
# its default. `dspex validate` checks a file, `dspex fmt` formats it.
#
# Durations are text with a unit: "500ms", "30s", "1h30m", "7d". Sizes too:
# "64MiB" (2^20), "64MB" (10^6).

# Variables come from --var name=value, then --var-file, then DSPEX_VAR_name in
# the environment, then *.auto.dspexvars beside this file, then the default.

variable "lm_model" {
  type        = string
  default     = "openai/gpt-4o-mini"
  description = "provider/model, as DSPy names it"
}

variable "lm_api_base" {
  type    = string
  default = env("DSPEX_LM_API_BASE", "")
}

variable "lm_api_key" {
  type      = string
  default   = env("OPENAI_API_KEY", "")
  sensitive = true  # never printed
  nullable  = false # null is no value
}

variable "workers" {
  type    = number
  default = 8

  validation {
    condition     = var.workers >= 1
    error_message = "A pool has at least one worker."
  }
}

locals {
  instructions = "Answer questions concisely."
}

host {
  # name                = the machine's host name
  # data_dir            = "/var/lib/dspex" # for root, else ~/.local/state/dspex; DSPEX_DATA_DIR overrides it
  # run_dir             = "/run/dspex"     # for root, else $XDG_RUNTIME_DIR/dspex; DSPEX_RUN_DIR overrides it
  # log_level           = "info"           # trace, debug, info, warn or error
  # log_format          = "auto"           # text on a terminal, else json
  # drain_timeout       = "30s"            # how long a stop waits for running calls
  # startup_concurrency = host.cpus        # worker starts at once, over all pools
  # max_workers         = 0                # of all pools together; 0 is no bound
}

# Without a listener block the host listens on these two.

listener "unix" "local" {
  # path = "api.sock in run_dir"
  # mode = "0660" # this user and this group
}

listener "tcp" "local" {
  address = "127.0.0.1:4680" # loopback only; DSPEX_ADDR overrides it
}

store {
  # engine = "bolt" # or "memory", which does not survive a restart
  # path   = "dspex.db in data_dir"
}

session {
  # default_ttl      = "1h" # after the last use
  # max_ttl          = "7d"
  # cleanup_interval = "60s"
  # sliding          = true # use extends the life
  # max_count        = 100000
  # max_bytes        = "1MiB" # of one session
  # max_programs     = 100    # of one session
}

# A language model. The key stays out of the workers' environment.

lm "main" {
  model    = var.lm_model
  api_base = var.lm_api_base # empty: the provider's own
  api_key  = var.lm_api_key
  # model_type  = "chat" # or "text", "responses"
  # temperature = null   # the model's own
  # max_tokens  = null   # the model's own
  # timeout     = "60s"  # of one request
  # num_retries = 3
  # cache       = true # in the worker's memory
  # extra       = {}   # further arguments of dspy.LM
}

# What pools have unless they say otherwise: any setting of a pool.

defaults {
  execution_timeout = "60s"
}

pool "qa" {
  description = "Question answering"
  lm          = "main"
  size        = var.workers # host.cpus * 2 if left out
  # enabled             = true
  # min_ready           = 1     # workers that make the pool ready
  # startup_timeout     = "30s" # of one worker, to its first answer
  # startup_concurrency = host.cpus
  # queue_timeout       = "5s"  # longest wait for a slot
  # execution_timeout   = "30s" # of a call that asks for none, its wait included
  # cancel_grace        = "2s"  # to end a cancelled call; then the worker is replaced
  # launch              = "fork" # from a fork server that has imported everything once; or "exec"
  # module              = ""    # a Python module with your own commands, such as "acme.workers.qa"
  # command             = []    # a go-plugin program in any language, in place of Python
  # env                 = {}    # set in the workers' environment
  # inherit_env         = ["PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", ...]
  # labels              = {}
  # cwd                 = ""

  python {
    # interpreter  = "" # one that has the packages; empty: dspex makes an environment
    # version      = ">=3.10,<3.15"
    # requirements = ""    # a lock file; empty: the one that comes with dspex
    # hashes       = true  # require a hash for each package
    # path         = []    # folders to import from, relative to this file
    # offline      = false # download nothing
    # pth          = false # let .pth files of the environment run
  }

  worker {
    concurrency = 32 # calls at once in one worker: LM calls are waiting, not work
    # preload     = []      # modules to import before the worker is ready
    # max_message = "64MiB" # largest arguments or result
  }

  queue {
    capacity = 2000 # calls that may wait; more are refused
    # order    = "fifo"
  }

  scheduler {
    # strategy = "least_busy"
    # tie      = "oldest_idle" # or "newest_idle"
  }

  health {
    # interval            = "5s" # between two checks of a worker
    # timeout             = "2s"
    # fail_after          = 3    # failed checks in a row: the worker is replaced
    # max_error_rate      = 0.05 # above it the pool's health is an error
    # warn_queue_timeouts = 1    # in the last minute, for a warning
  }

  restart {
    # mode         = "always" # or "on_failure", "never" (OTP: permanent, transient, temporary)
    # backoff      = "200ms"  # doubles while a worker keeps failing
    # max_backoff  = "30s"
    # intensity    = 5 # restarts within intensity_in; more make the pool degraded
    # intensity_in = "60s"
  }

  recycle {
    # max_requests = 0 # a new process after so many calls; 0 is never
    # max_age      = "0s"
    # max_rss      = "0"
    # jitter       = 0.1 # spreads the limits
  }
}

# A program for all sessions. Programs can also be put by clients.

program "capital" {
  pool         = "qa"
  signature    = "question -> answer" # typed: "context: list[str], question -> answer: str, score: float"
  instructions = local.instructions
  # module      = "Predict" # or "ChainOfThought"
  # lm          = the pool's
  # config      = {} # such as { temperature = 0.2 }
  # description = ""
}
