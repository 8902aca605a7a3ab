//! Numbers about a customer (SPEC TL-07).

use rust_decimal::{Decimal, RoundingStrategy};

use crate::format::Currency;
use crate::interaction::Sentiment;
use crate::lifecycle::CustomerLifecycle;
use crate::store::Group;
use crate::value::{Instant, Value};

/// How many points apart two periods must be for a trend.
const TREND_POINTS: i64 = 10;

/// What a customer has bought, and how one was in touch with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileStatistics {
    /// How many purchases.
    pub orders: i64,
    /// What they brought, less what was credited, in `currency`: the lifetime value.
    pub spend: Decimal,
    /// ISO 4217; none before the first purchase.
    pub currency: Option<Currency>,
    /// How many interactions the actor sees.
    pub interactions: i64,
    /// When the first of them took place.
    pub first_interaction: Option<Instant>,
    /// When the last of them took place.
    pub last_interaction: Option<Instant>,
    /// How the customer sounded in all of them.
    pub sentiment: Option<SentimentScore>,
    /// How that has changed: the last 90 days against the 90 days before. None without a judged interaction in both.
    pub sentiment_trend: Option<SentimentTrend>,
}

/// How a customer sounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentimentScore {
    /// From -100, all negative, to 100, all positive; rounded half to even.
    pub score: i64,
    /// Of how many interactions with a sentiment.
    pub judged: i64,
}

crate::codes! {
    /// Where it goes.
    pub enum SentimentTrend: ordered {
        /// At least 10 points worse than before.
        Declining = "declining",
        /// In between.
        #[default]
        Stable = "stable",
        /// At least 10 points better than before.
        Improving = "improving",
    }
}

impl ProfileStatistics {
    /// What a purchase brought on average, rounded to the currency's minor unit, half to even.
    pub fn average_order(&self) -> Option<Decimal> {
        let currency = self.currency.as_ref().filter(|_| self.orders > 0)?;
        let average = self.spend / Decimal::from(self.orders);
        let places = currency.minor_units();
        Some(average.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven))
    }

    pub(super) fn add_purchases(&mut self, lifecycle: &CustomerLifecycle) {
        self.orders = lifecycle.purchase_count;
        self.spend = lifecycle.total_revenue;
        self.currency.clone_from(&lifecycle.currency);
    }

    /// From one group of all: how many, the first and the last.
    pub(super) fn add_interactions(&mut self, groups: &[Group]) {
        if let Some([Value::Int(count), first, last]) = groups.first().map(|group| &group.measures[..]) {
            self.interactions = *count;
            (self.first_interaction, self.last_interaction) = (first.as_instant(), last.as_instant());
        }
    }
}

impl SentimentScore {
    /// From groups by sentiment; none when no interaction has one.
    pub(super) fn of(groups: &[Group]) -> Option<Self> {
        let count = |sentiment: Sentiment| {
            let of = |group: &&Group| group.by.first().and_then(Value::as_text) == Some(sentiment.code());
            match groups.iter().find(of).map(|group| &group.measures[..]) {
                Some([Value::Int(count), ..]) => *count,
                _ => 0,
            }
        };
        let (good, bad) = (count(Sentiment::Positive), count(Sentiment::Negative));
        let judged = good + bad + count(Sentiment::Neutral);
        (judged > 0).then(|| {
            let mean = Decimal::from(100 * (good - bad)) / Decimal::from(judged);
            let score = mean.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
            Self { score: i64::try_from(score).unwrap_or_default(), judged }
        })
    }

    /// Where it goes, since an earlier period.
    pub(super) fn since(self, before: Self) -> SentimentTrend {
        match self.score - before.score {
            up if up >= TREND_POINTS => SentimentTrend::Improving,
            down if down <= -TREND_POINTS => SentimentTrend::Declining,
            _ => SentimentTrend::Stable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(counts: [i64; 3]) -> Vec<Group> {
        let codes = [Sentiment::Negative, Sentiment::Neutral, Sentiment::Positive];
        let group = |(sentiment, count): (Sentiment, i64)| Group {
            by: vec![Value::Text(sentiment.code().to_owned())],
            measures: vec![Value::Int(count)],
        };
        codes.into_iter().zip(counts).filter(|(_, count)| *count > 0).map(group).collect()
    }

    #[test]
    fn tl_07_a_sentiment_is_between_all_negative_and_all_positive() {
        let score = |counts| SentimentScore::of(&groups(counts)).map(|of| (of.score, of.judged));
        assert_eq!(score([0, 0, 0]), None);
        assert_eq!(score([3, 0, 0]), Some((-100, 3)));
        assert_eq!(score([0, 0, 7]), Some((100, 7)));
        assert_eq!(score([1, 5, 1]), Some((0, 7)));
        assert_eq!(score([0, 7, 1]), Some((12, 8)));
        assert_eq!(score([0, 5, 3]), Some((38, 8)));
    }

    #[test]
    fn tl_07_a_trend_is_ten_points() {
        let at = |score| SentimentScore { score, judged: 1 };
        assert_eq!(at(10).since(at(0)), SentimentTrend::Improving);
        assert_eq!(at(9).since(at(0)), SentimentTrend::Stable);
        assert_eq!(at(-9).since(at(0)), SentimentTrend::Stable);
        assert_eq!(at(-10).since(at(0)), SentimentTrend::Declining);
    }

    #[test]
    fn tl_07_an_average_is_in_the_minor_unit() {
        let of = |orders, spend: &str, currency: &str| {
            let statistics = ProfileStatistics {
                orders,
                spend: spend.parse().unwrap(),
                currency: Currency::parse(currency).ok(),
                ..ProfileStatistics::default()
            };
            statistics.average_order().map(|average| average.to_string())
        };
        assert_eq!(of(3, "10", "USD").as_deref(), Some("3.33"));
        assert_eq!(of(3, "10", "JPY").as_deref(), Some("3"));
        assert_eq!(of(8, "1", "USD").as_deref(), Some("0.12"));
        assert_eq!(of(0, "0", "USD"), None);
    }
}
