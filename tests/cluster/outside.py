"""What the agent in the cluster talks to: Telegram and a model, on this machine's side of the node.

One model plays all parts, by the first word of what it is asked, so that a test of the agent needs
no other configuration and hence no new pod: `hold` waits until the test releases it, `recount` says
what the conversation holds, and everything else carries out the calls that stand in the question.
"""
import time

import telegram_models
from openai_scenarios import scenario
from openai_upstream import Upstream
from telegram_api import TelegramApi

OWNER = 42
MODEL = 'day'
TOKEN = '7000000001:AAFakeFakeFakeFakeFakeFakeFakeFake42'
OTHER_TOKEN = '7000000002:AAFakeFakeFakeFakeFakeFakeFakeFake43'
WRONG_TOKEN = '7000000001:AAFakeFakeFakeButNotTheRightOneAtAll'
API_KEY = 'sk-fake-9b2c47d1e05f4c38a6d7e8f9'
ADMIN_KEY = 'fake-admin-key-5d3e8a1c7b9f'
SECRET_VALUES = [TOKEN, OTHER_TOKEN, WRONG_TOKEN, API_KEY, ADMIN_KEY]


@scenario(MODEL)
def day(turn):
    word = turn.question().split(' ')[0]
    parts = {'hold': telegram_models.gate, 'recount': telegram_models.recount}
    parts.get(word, telegram_models.chain)(turn)


def telegram(host, token=TOKEN):
    api = TelegramApi(token=token)
    api.host = host             # its constructor knows the loopback only
    # A node that was kept has an agent that remembers what an earlier session confirmed.
    api.chats.next_update = int(time.time())
    return api


def upstream(host):
    return Upstream(host=host, api_key=API_KEY)


def config(telegram_api, model, more=''):
    """k8s/config.yaml as somebody has it whose model and Bot API are on their own network."""
    return f'''\
model_list:
  - model_name: free
    litellm_params:
      model: openai/{MODEL}
      api_base: {model.base_url}
      api_key: os.environ/OPENAI_API_KEY

platforms:
  telegram:
    extra:
      base_url: {telegram_api.base_url}/bot

unauthorized_dm_behavior: ignore

display:
  busy_input_mode: queue

logging:
  level: info
  echo: true
  max_size_mb: 5
  keep: 3
{more}'''


def secrets(token=TOKEN, **more):
    values = {'TELEGRAM_BOT_TOKEN': token, 'TELEGRAM_ALLOWED_USERS': OWNER,
              'OPENAI_API_KEY': API_KEY, 'HERMES_ADMIN_KEY': ADMIN_KEY, **more}
    return '# made by a test\n' + ''.join(f'{name}={value}\n' for name, value in values.items())
