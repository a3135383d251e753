/**
 * What the page says, in the language of the browser, like the element. ScriptNotice.tsx, the lower part of
 * LoginNotice.tsx and the console speak to those who run the server, in English, and the texts of the server come as
 * they are.
 */
export interface Texts {
  loading: string;
  ready: string;
  answering: string;
  error: string;
  reconnecting: string;
  model: string;
  /** With the seconds, as a number with its unit. */
  firstToken: (seconds: string) => string;
  tokensPerSecond: (tokens: number) => string;
  details: string;
  note: string;
  lastAnswer: string;
  notMeasured: string;
  server: string;
  connecting: string;
  connected: string;
  unreachable: string;
  chat: string;
  stockElement: string;
  openElement: string;
  greeting: string;
  greetingOf: (agent: string) => string;
  writeMessage: string;
  writeAlready: string;
  message: string;
  dismiss: string;
  tryAgain: string;
  serverUnreachable: string;
  tryingAgain: string;
  loginNeeded: string;
  loginNeededWhy: string;
  notFound: string;
  notFoundWhy: string;
  notLoaded: string;
  notAttached: (file: string) => string;
  notSent: string;
  inFieldAgain: string;
  failed: string;
  somethingWentWrong: string;
  pleaseTryAgain: string;
  noAnswer: string;
  status: (status: number) => string;
}

const en: Texts = {
  loading: "Loading…",
  ready: "Ready",
  answering: "Answering…",
  error: "Error",
  reconnecting: "Reconnecting…",
  model: "Model",
  firstToken: (seconds) => `${seconds} to first token`,
  tokensPerSecond: (tokens) => `${tokens} tokens/s`,
  details: "Details",
  note: "Note",
  lastAnswer: "Last answer",
  notMeasured: "Not measured",
  server: "Server",
  connecting: "Connecting",
  connected: "Connected",
  unreachable: "Cannot be reached",
  chat: "Chat",
  stockElement: "OpenAI's ChatKit",
  openElement: "The open element of this server",
  greeting: "What can I do for you?",
  greetingOf: (agent) => `What can ${agent} do for you?`,
  writeMessage: "Write a message",
  writeAlready: "You can write already…",
  message: "Message",
  dismiss: "Dismiss",
  tryAgain: "Try again",
  serverUnreachable: "The server cannot be reached.",
  tryingAgain: "Trying again every few seconds.",
  loginNeeded: "Please log in.",
  loginNeededWhy: "This chat is for people who are logged in. Log in as you usually do on this site, then try again.",
  notFound: "Conversation not found.",
  notFoundWhy: "It was deleted, or it belongs to another browser or user.",
  notLoaded: "The conversation could not be loaded.",
  notAttached: (file) => `“${file}” could not be attached.`,
  notSent: "Your message was not sent.",
  inFieldAgain: "It is in the message field again.",
  failed: "That did not work.",
  somethingWentWrong: "Something went wrong.",
  pleaseTryAgain: "Please try again.",
  noAnswer: "The server did not answer.",
  status: (status) => `The server answered with status ${status}.`,
};

const de: Texts = {
  loading: "Wird geladen …",
  ready: "Bereit",
  answering: "Antwortet …",
  error: "Fehler",
  reconnecting: "Verbindet neu …",
  model: "Modell",
  firstToken: (seconds) => `${seconds} bis zum ersten Token`,
  tokensPerSecond: (tokens) => `${tokens} Token/s`,
  details: "Details",
  note: "Hinweis",
  lastAnswer: "Letzte Antwort",
  notMeasured: "Nicht gemessen",
  server: "Server",
  connecting: "Verbindet",
  connected: "Verbunden",
  unreachable: "Nicht erreichbar",
  chat: "Chat",
  stockElement: "ChatKit von OpenAI",
  openElement: "Das offene Element dieses Servers",
  greeting: "Was kann ich für Sie tun?",
  greetingOf: (agent) => `Was kann ${agent} für Sie tun?`,
  writeMessage: "Nachricht schreiben",
  writeAlready: "Sie können schon schreiben …",
  message: "Nachricht",
  dismiss: "Schließen",
  tryAgain: "Erneut versuchen",
  serverUnreachable: "Der Server ist nicht erreichbar.",
  tryingAgain: "Alle paar Sekunden wird es erneut versucht.",
  loginNeeded: "Bitte melden Sie sich an.",
  loginNeededWhy: "Dieser Chat ist für angemeldete Personen. Melden Sie sich wie gewohnt auf dieser Website an, und versuchen Sie es dann erneut.",
  notFound: "Unterhaltung nicht gefunden.",
  notFoundWhy: "Sie wurde gelöscht oder gehört zu einem anderen Browser oder Benutzer.",
  notLoaded: "Die Unterhaltung konnte nicht geladen werden.",
  notAttached: (file) => `„${file}“ konnte nicht angehängt werden.`,
  notSent: "Ihre Nachricht wurde nicht gesendet.",
  inFieldAgain: "Sie steht wieder im Eingabefeld.",
  failed: "Das hat nicht geklappt.",
  somethingWentWrong: "Etwas ist schiefgegangen.",
  pleaseTryAgain: "Bitte versuchen Sie es erneut.",
  noAnswer: "Der Server hat nicht geantwortet.",
  status: (status) => `Der Server hat mit Status ${status} geantwortet.`,
};

const fr: Texts = {
  loading: "Chargement…",
  ready: "Prêt",
  answering: "Réponse en cours…",
  error: "Erreur",
  reconnecting: "Reconnexion…",
  model: "Modèle",
  firstToken: (seconds) => `${seconds} jusqu’au premier jeton`,
  tokensPerSecond: (tokens) => `${tokens} jetons/s`,
  details: "Détails",
  note: "Remarque",
  lastAnswer: "Dernière réponse",
  notMeasured: "Non mesurée",
  server: "Serveur",
  connecting: "Connexion en cours",
  connected: "Connecté",
  unreachable: "Injoignable",
  chat: "Chat",
  stockElement: "ChatKit d’OpenAI",
  openElement: "L’élément libre de ce serveur",
  greeting: "Que puis-je faire pour vous ?",
  greetingOf: (agent) => `Que peut faire ${agent} pour vous ?`,
  writeMessage: "Écrire un message",
  writeAlready: "Vous pouvez déjà écrire…",
  message: "Message",
  dismiss: "Fermer",
  tryAgain: "Réessayer",
  serverUnreachable: "Le serveur est injoignable.",
  tryingAgain: "Nouvel essai toutes les quelques secondes.",
  loginNeeded: "Veuillez vous connecter.",
  loginNeededWhy: "Ce chat est réservé aux personnes connectées. Connectez-vous comme d’habitude sur ce site, puis réessayez.",
  notFound: "Conversation introuvable.",
  notFoundWhy: "Elle a été supprimée, ou appartient à un autre navigateur ou utilisateur.",
  notLoaded: "La conversation n’a pas pu être chargée.",
  notAttached: (file) => `Impossible de joindre « ${file} ».`,
  notSent: "Votre message n’a pas été envoyé.",
  inFieldAgain: "Il est de nouveau dans le champ de saisie.",
  failed: "Cela n’a pas fonctionné.",
  somethingWentWrong: "Une erreur s’est produite.",
  pleaseTryAgain: "Veuillez réessayer.",
  noAnswer: "Le serveur n’a pas répondu.",
  status: (status) => `Le serveur a répondu avec le statut ${status}.`,
};

const es: Texts = {
  loading: "Cargando…",
  ready: "Listo",
  answering: "Respondiendo…",
  error: "Error",
  reconnecting: "Reconectando…",
  model: "Modelo",
  firstToken: (seconds) => `${seconds} hasta el primer token`,
  tokensPerSecond: (tokens) => `${tokens} tokens/s`,
  details: "Detalles",
  note: "Nota",
  lastAnswer: "Última respuesta",
  notMeasured: "Sin medir",
  server: "Servidor",
  connecting: "Conectando",
  connected: "Conectado",
  unreachable: "Sin conexión",
  chat: "Chat",
  stockElement: "ChatKit de OpenAI",
  openElement: "El elemento abierto de este servidor",
  greeting: "¿En qué puedo ayudarte?",
  greetingOf: (agent) => `¿En qué puede ayudarte ${agent}?`,
  writeMessage: "Escribe un mensaje",
  writeAlready: "Ya puedes escribir…",
  message: "Mensaje",
  dismiss: "Cerrar",
  tryAgain: "Reintentar",
  serverUnreachable: "No se puede conectar con el servidor.",
  tryingAgain: "Se vuelve a intentar cada pocos segundos.",
  loginNeeded: "Inicia sesión.",
  loginNeededWhy: "Este chat es para personas que han iniciado sesión. Inicia sesión en este sitio como siempre y vuelve a intentarlo.",
  notFound: "No se encontró la conversación.",
  notFoundWhy: "Se eliminó, o pertenece a otro navegador o usuario.",
  notLoaded: "No se pudo cargar la conversación.",
  notAttached: (file) => `No se pudo adjuntar «${file}».`,
  notSent: "Tu mensaje no se envió.",
  inFieldAgain: "Está de nuevo en el campo de texto.",
  failed: "No funcionó.",
  somethingWentWrong: "Algo salió mal.",
  pleaseTryAgain: "Inténtalo de nuevo.",
  noAnswer: "El servidor no respondió.",
  status: (status) => `El servidor respondió con el estado ${status}.`,
};

const zh: Texts = {
  loading: "正在加载…",
  ready: "就绪",
  answering: "正在回答…",
  error: "错误",
  reconnecting: "正在重新连接…",
  model: "模型",
  firstToken: (seconds) => `首个 token ${seconds}`,
  tokensPerSecond: (tokens) => `${tokens} tokens/秒`,
  details: "详情",
  note: "说明",
  lastAnswer: "上一个回答",
  notMeasured: "未测量",
  server: "服务器",
  connecting: "正在连接",
  connected: "已连接",
  unreachable: "无法连接",
  chat: "聊天",
  stockElement: "OpenAI 的 ChatKit",
  openElement: "此服务器的开放组件",
  greeting: "我能为您做些什么?",
  greetingOf: (agent) => `${agent} 能为您做些什么?`,
  writeMessage: "输入消息",
  writeAlready: "现在就可以输入…",
  message: "消息",
  dismiss: "关闭",
  tryAgain: "重试",
  serverUnreachable: "无法连接服务器。",
  tryingAgain: "每隔几秒会重试一次。",
  loginNeeded: "请先登录。",
  loginNeededWhy: "此聊天仅供已登录的用户使用。请像平常一样在此网站登录,然后重试。",
  notFound: "找不到该对话。",
  notFoundWhy: "它已被删除,或属于其他浏览器或用户。",
  notLoaded: "无法加载该对话。",
  notAttached: (file) => `无法添加“${file}”。`,
  notSent: "您的消息未发送。",
  inFieldAgain: "内容已放回输入框。",
  failed: "操作未成功。",
  somethingWentWrong: "出了点问题。",
  pleaseTryAgain: "请重试。",
  noAnswer: "服务器没有响应。",
  status: (status) => `服务器返回状态 ${status}。`,
};

const ja: Texts = {
  loading: "読み込み中…",
  ready: "準備完了",
  answering: "回答中…",
  error: "エラー",
  reconnecting: "再接続中…",
  model: "モデル",
  firstToken: (seconds) => `最初のトークンまで ${seconds}`,
  tokensPerSecond: (tokens) => `${tokens} トークン/秒`,
  details: "詳細",
  note: "備考",
  lastAnswer: "直前の回答",
  notMeasured: "未計測",
  server: "サーバー",
  connecting: "接続中",
  connected: "接続済み",
  unreachable: "接続できません",
  chat: "チャット",
  stockElement: "OpenAI の ChatKit",
  openElement: "このサーバーのオープン要素",
  greeting: "どのようなご用件ですか?",
  greetingOf: (agent) => `${agent} に何をご用命ですか?`,
  writeMessage: "メッセージを入力",
  writeAlready: "もう入力できます…",
  message: "メッセージ",
  dismiss: "閉じる",
  tryAgain: "再試行",
  serverUnreachable: "サーバーに接続できません。",
  tryingAgain: "数秒ごとに再試行します。",
  loginNeeded: "ログインしてください。",
  loginNeededWhy: "このチャットはログインした方のみご利用いただけます。いつものようにこのサイトにログインしてから、もう一度お試しください。",
  notFound: "会話が見つかりません。",
  notFoundWhy: "削除されたか、別のブラウザーまたはユーザーのものです。",
  notLoaded: "会話を読み込めませんでした。",
  notAttached: (file) => `「${file}」を添付できませんでした。`,
  notSent: "メッセージは送信されませんでした。",
  inFieldAgain: "入力欄に戻しました。",
  failed: "うまくいきませんでした。",
  somethingWentWrong: "問題が発生しました。",
  pleaseTryAgain: "もう一度お試しください。",
  noAnswer: "サーバーから応答がありませんでした。",
  status: (status) => `サーバーがステータス ${status} を返しました。`,
};

const ar: Texts = {
  loading: "جارٍ التحميل…",
  ready: "جاهز",
  answering: "جارٍ الرد…",
  error: "خطأ",
  reconnecting: "جارٍ إعادة الاتصال…",
  model: "النموذج",
  firstToken: (seconds) => `${seconds} حتى أول رمز`,
  tokensPerSecond: (tokens) => `${tokens} رمز/ث`,
  details: "التفاصيل",
  note: "ملاحظة",
  lastAnswer: "آخر رد",
  notMeasured: "لم يُقَس",
  server: "الخادم",
  connecting: "جارٍ الاتصال",
  connected: "متصل",
  unreachable: "يتعذر الوصول إليه",
  chat: "المحادثة",
  stockElement: "‏ChatKit من OpenAI",
  openElement: "العنصر المفتوح لهذا الخادم",
  greeting: "كيف يمكنني مساعدتك؟",
  greetingOf: (agent) => `كيف يمكن لـ ${agent} مساعدتك؟`,
  writeMessage: "اكتب رسالة",
  writeAlready: "يمكنك الكتابة من الآن…",
  message: "الرسالة",
  dismiss: "إغلاق",
  tryAgain: "إعادة المحاولة",
  serverUnreachable: "يتعذر الوصول إلى الخادم.",
  tryingAgain: "تُعاد المحاولة كل بضع ثوانٍ.",
  loginNeeded: "يُرجى تسجيل الدخول.",
  loginNeededWhy: "هذه المحادثة متاحة لمن سجّلوا الدخول. سجّل الدخول إلى هذا الموقع كالمعتاد، ثم أعد المحاولة.",
  notFound: "لم يُعثر على المحادثة.",
  notFoundWhy: "حُذفت، أو تخص متصفحًا أو مستخدمًا آخر.",
  notLoaded: "تعذر تحميل المحادثة.",
  notAttached: (file) => `تعذر إرفاق «${file}».`,
  notSent: "لم تُرسل رسالتك.",
  inFieldAgain: "أُعيدت إلى حقل الكتابة.",
  failed: "لم ينجح ذلك.",
  somethingWentWrong: "حدث خطأ ما.",
  pleaseTryAgain: "يُرجى المحاولة مرة أخرى.",
  noAnswer: "لم يستجب الخادم.",
  status: (status) => `أجاب الخادم بالحالة ${status}.`,
};

const LANGUAGES: Record<string, Texts> = { ar, de, en, es, fr, ja, zh };

const language = navigator.language.toLowerCase().split(/[-_@]/)[0] ?? "en";

export const texts: Texts = LANGUAGES[language] ?? en;

if (texts !== en) {
  document.documentElement.lang = language;
  document.documentElement.dir = texts === ar ? "rtl" : "ltr";
}
